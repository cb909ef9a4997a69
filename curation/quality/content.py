"""Signals from the two responses and the label the pair came with."""

from curation.types import PairView


def length_difference(view: PairView) -> float | None:
    """Characters of response_b minus those of response_a."""
    return float(view.chars_b - view.chars_a)


def identical_responses(view: PairView) -> float | None:
    """1 where both responses are the same text, so that no preference can be meant."""
    return float(view.identical)


def exact_duplicate(view: PairView) -> float | None:
    """1 where a pair with a lower id has the same prompt and the same two responses, in whatever order."""
    return None if view.twins is None else float(view.twins.first_pair < view.id)


def label_conflict(view: PairView) -> float | None:
    """1 where a pair with the same content came with the opposite label; None where this pair has no side as its label."""
    if view.twins is None or view.stored_verdict not in ("a", "b"):
        return None
    winner = view.response_a if view.stored_verdict == "a" else view.response_b
    return float(not view.identical and bool(view.twins.winners - {winner}))

"""Signals from what the judges said."""

from collections.abc import Sequence

from curation.quality.base import Values, by_judge, shares
from curation.types import PairView, Vote


def judge_agreement(view: PairView) -> float | None:
    """Share of the judges' votes that the commonest verdict has; None with fewer than two judges.

    A judge has one vote, whatever number of answers it gave; answers that contradict each other divide it.
    """
    votes = [found for answers in by_judge(view).values() if (found := shares(answers))]
    if len(votes) < 2:
        return None
    return max(sum(vote.get(verdict, 0.0) for vote in votes) for verdict in ("a", "tie", "b")) / len(votes)


def order_consistency(view: PairView) -> float | None:
    """Share of judges, among those whose answers in both orders could be read, who gave the same verdict in both."""
    same = [found for answers in by_judge(view).values() for found in _same_in_both_orders(answers)]
    return sum(same) / len(same) if same else None


def _same_in_both_orders(answers: Sequence[Vote]) -> list[bool]:
    """One entry per occasion on which this judge was asked in both orders and could be read in both."""
    verdicts = {(vote.occasion, vote.order): vote.verdict for vote in answers if vote.verdict is not None}
    return [
        verdict == verdicts[occasion, "ba"]
        for (occasion, order), verdict in verdicts.items()
        if order == "ab" and (occasion, "ba") in verdicts
    ]


def reward_margin(views: Sequence[PairView], *, judge_id: int | None = None) -> Values:
    """Reward of response_b minus that of response_a, by the named judge; without one, by the newest that scored the pair.

    Rewards of different models are on different scales, so margins are never averaged over judges.
    """
    return [_margin(view, judge_id) for view in views]


def _margin(view: PairView, judge_id: int | None) -> float | None:
    if judge_id is not None:
        reward = view.rewards.get(judge_id)
        return None if reward is None else reward.margin
    margins = {judge: reward.margin for judge, reward in view.rewards.items() if reward.margin is not None}
    return margins[max(margins)] if margins else None

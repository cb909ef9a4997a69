"""Pairs as signals and filters see them, for tests: by hand and drawn by hypothesis."""

from typing import Any

from hypothesis import strategies as st

from curation.types import ConsensusView, PairView, RewardPair, Twins, Vote

STRENGTHS = {"a": -1, "tie": 0, "b": 1, None: None}


def vote(judge: int, verdict: str | None, *, kind: str = "llm_judge", name: str = "", **fields: Any) -> Vote:
    defaults = {"strength": STRENGTHS[verdict], "tie_kind": "tie" if verdict == "tie" else ""}
    return Vote(judge, name or f"judge {judge}", kind, verdict, **{**defaults, **fields})


def view(**fields: Any) -> PairView:
    return PairView(**{"id": 1, "response_a": 1, "response_b": 2, **fields})


def consensus(a: float = 0.0, tie: float = 0.0, b: float = 0.0, **fields: Any) -> dict[str, ConsensusView]:
    return {"dawid_skene": ConsensusView("dawid_skene", a, tie, b, **fields)}


@st.composite
def votes(draw: st.DrawFn) -> Vote:
    strength = draw(st.sampled_from([-3, -1, 0, 1, 2, None]))
    kind = draw(st.sampled_from(["human", "llm_judge", "reward_model", "imported"]))
    ties = {None: ["cannot_judge", "unreadable"], 0: ["tie", "both_bad"]}.get(strength, [""])
    verdict = None if strength is None else "tie" if strength == 0 else "a" if strength < 0 else "b"
    judge = draw(st.integers(1, 6))
    return vote(
        judge, verdict, kind=kind, name=f"judge {judge % 4}", strength=strength, tie_kind=draw(st.sampled_from(ties)),
        order=draw(st.sampled_from(["", "ab", "ba"])), occasion=draw(st.integers(0, 1)),
        is_gold=kind == "imported" and draw(st.booleans()), of_app=kind == "human" and draw(st.booleans()),
        probability=draw(st.sampled_from([None, 0.25, 0.75])),
    )  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> PairView:
    """Any pair: labelled or not, judged by nobody or many, alone or with twins."""
    first, second, third = draw(st.tuples(*[st.integers(0, 10)] * 3))
    total = (first + second + third) or 1
    strength = draw(st.sampled_from([None, -2.0, 0.0, 1.5]))
    judged = consensus(first / total, second / total, third / total, strength=strength)
    twins = Twins(draw(st.integers(1, 3)), 2, draw(st.frozensets(st.integers(1, 3), max_size=2)))
    rewards = {
        judge: RewardPair(judge, f"reward {judge}", draw(REWARD), draw(REWARD)) for judge in draw(st.sets(st.integers(7, 9)))
    }
    return view(
        id=draw(st.integers(1, 3)), response_a=draw(st.integers(1, 2)), chars_a=draw(st.integers(0, 99)),
        chars_b=draw(st.integers(0, 99)), stored_strength=draw(st.sampled_from([None, -3, -1, 0, 1, 2])),
        votes=tuple(draw(st.lists(votes(), max_size=6))), rewards=rewards,
        consensus=draw(st.sampled_from([{}, judged])), twins=draw(st.sampled_from([None, twins])),
    )  # fmt: skip


REWARD = st.sampled_from([None, -1.5, 0.0, 2.0])

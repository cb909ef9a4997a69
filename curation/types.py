"""What the pure modules of this layer take and give: a pair with everything known about it, and a ruling on it. No Django.

Both signs grow towards B: a strength or margin above 0 says that response_b is better. Every value is symmetric: swapping the
two responses of a pair negates strengths and margins, mirrors verdicts, and changes nothing else (`PairView.swapped`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

Verdict = Literal["a", "tie", "b"]
ActionName = Literal["keep", "flip", "relabel", "drop", "to_human"]
Authority = Literal["people", "models", "rule"]

VERDICTS: tuple[Verdict, ...] = ("a", "tie", "b")  # the order of every array of classes
STORED_LABEL = "stored label"  # name of the imported judge whose label a pair came with
MODEL_KINDS = frozenset({"reward_model", "llm_judge", "likelihood", "rule"})

Signed = TypeVar("Signed", int, float)

_MIRROR: dict[Verdict, Verdict] = {"a": "b", "tie": "tie", "b": "a"}
_SWAPPED_ORDER = {"ab": "ba", "ba": "ab", "": ""}


def verdict_of(strength: float | None) -> Verdict | None:
    """'a', 'tie' or 'b' by the sign of a signed strength; None where there is none."""
    if strength is None:
        return None
    return "tie" if strength == 0 else "b" if strength > 0 else "a"


def mirrored(verdict: Verdict | None) -> Verdict | None:
    """The same opinion when the two responses change places."""
    return None if verdict is None else _MIRROR[verdict]


def _negated(value: Signed | None) -> Signed | None:
    return -value if value else value  # 0 stays 0, not -0.0


@dataclass(frozen=True, slots=True)
class Vote:
    """One current judgment of one judge.

    verdict None: no verdict, `tie_kind` says why (cannot_judge, unreadable). of_app: given by a person in this app, not in an
    imported annotator column. probability: that response_b is better, where the judge gives one.
    """

    judge_id: int
    judge_name: str
    kind: str  # a value of models.JudgeKind
    verdict: Verdict | None
    strength: int | None = None
    tie_kind: str = ""
    order: str = ""  # "ab": response_a was shown first; "": not known
    occasion: int = 0
    probability: float | None = None
    is_gold: bool = False
    of_app: bool = False
    method: str = ""

    def swapped(self) -> "Vote":
        return replace(
            self,
            verdict=mirrored(self.verdict),
            strength=_negated(self.strength),
            order=_SWAPPED_ORDER[self.order],
            probability=None if self.probability is None else 1 - self.probability,
        )


def newest_versions(votes: Sequence[Vote]) -> list[Vote]:
    """Votes without those of a model that has a newer version among them: a retrained model does not vote twice."""
    newest: dict[tuple[str, str, str], int] = {}
    for vote in votes:
        name = (vote.kind, vote.judge_name, vote.method)
        newest[name] = max(vote.judge_id, newest.get(name, 0))
    return [
        vote for vote in votes if vote.kind not in MODEL_KINDS or vote.judge_id == newest[vote.kind, vote.judge_name, vote.method]
    ]


@dataclass(frozen=True, slots=True)
class RewardPair:
    """What one reward judge gave to the two responses; None where it gave nothing."""

    judge_id: int
    judge_name: str
    a: float | None
    b: float | None

    @property
    def margin(self) -> float | None:
        """b minus a."""
        return None if self.a is None or self.b is None else self.b - self.a

    def swapped(self) -> "RewardPair":
        return replace(self, a=self.b, b=self.a)


@dataclass(frozen=True, slots=True)
class ConsensusView:
    """What all judges say together, by one method. disagreement: 0 (all alike) to 1 (evenly over a, tie, b)."""

    method: str
    probability_a: float
    probability_tie: float
    probability_b: float
    strength: float | None = None
    n_judgments: int = 0
    disagreement: float = 0.0

    def probability(self, verdict: Verdict) -> float:
        return {"a": self.probability_a, "tie": self.probability_tie, "b": self.probability_b}[verdict]

    def swapped(self) -> "ConsensusView":
        return replace(self, probability_a=self.probability_b, probability_b=self.probability_a, strength=_negated(self.strength))


@dataclass(frozen=True, slots=True)
class Twins:
    """The pairs of the dataset with the same prompt and the same two responses, in whatever order, this one included."""

    first_pair: int  # lowest id among them
    n_pairs: int
    winners: frozenset[int] = frozenset()  # ids of the responses that their stored labels prefer; ties and no label are left out


@dataclass(frozen=True, slots=True)
class PairView:
    """One pair as the signals and the filters see it. Texts are "" unless they were asked for."""

    id: int
    response_a: int  # ids of the response rows: equal when the texts are
    response_b: int
    prompt_chars: int = 0
    chars_a: int = 0
    chars_b: int = 0
    text_prompt: str = ""
    text_a: str = ""
    text_b: str = ""
    stored_strength: int | None = None  # of the label the pair came with; None: it came without one
    votes: tuple[Vote, ...] = ()  # current judgments, by judgment id; the stored label's is among them
    rewards: Mapping[int, RewardPair] = field(default_factory=dict)  # by judge id
    consensus: Mapping[str, ConsensusView] = field(default_factory=dict)  # by method
    twins: Twins | None = None  # None: not looked up
    pool: str = "unverified"

    @property
    def stored_verdict(self) -> Verdict | None:
        return verdict_of(self.stored_strength)

    @property
    def identical(self) -> bool:
        return self.response_a == self.response_b

    def swapped(self) -> "PairView":
        """The same pair with its responses the other way round: what every rule must treat alike."""
        return replace(
            self,
            response_a=self.response_b,
            response_b=self.response_a,
            chars_a=self.chars_b,
            chars_b=self.chars_a,
            text_a=self.text_b,
            text_b=self.text_a,
            stored_strength=_negated(self.stored_strength),
            votes=tuple(vote.swapped() for vote in self.votes),
            rewards={judge: reward.swapped() for judge, reward in self.rewards.items()},
            consensus={method: found.swapped() for method, found in self.consensus.items()},
        )


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a filter decided on one pair, by which rule and on which figures.

    strength: the signed label in force afterwards, None where none is. by: on whose word; a kept, flipped or relabelled pair
    is gold on people's word and silver on models'.
    """

    action: ActionName
    reason: str  # stable name of the rule that fired
    by: Authority
    strength: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

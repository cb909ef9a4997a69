"""What a person can answer, and how the screen's left and right become the pair's A and B. No Django, no database."""

from dataclasses import dataclass
from typing import Any, Literal

Side = Literal["a", "b"]

# A person shown one side this much more often than the other gets the rarer side, whatever the pair would like.
LARGEST_IMBALANCE = 4


@dataclass(frozen=True)
class Verdict:
    """One button of the judging page. `strength` is that of the screen: negative when the left response is better."""

    value: str
    label: str
    short: str
    strength: int | None
    tie_kind: str = ""
    key: str = ""


SCALE = (
    Verdict("1", "Left much better", "Much", -3, key="1"),
    Verdict("2", "Left better", "Better", -2, key="2"),
    Verdict("3", "Left slightly better", "Slightly", -1, key="3"),
    Verdict("4", "Equally good", "Tie", 0, "tie", key="4"),
    Verdict("5", "Right slightly better", "Slightly", 1, key="5"),
    Verdict("6", "Right better", "Better", 2, key="6"),
    Verdict("7", "Right much better", "Much", 3, key="7"),
)
BOTH_BAD = Verdict("both_bad", "Both bad", "Both bad", 0, "both_bad", key="x")
CANNOT_JUDGE = Verdict("cannot_judge", "Cannot judge", "Cannot judge", None, "cannot_judge", key="c")
VERDICTS = {verdict.value: verdict for verdict in (*SCALE, BOTH_BAD, CANNOT_JUDGE)}

REASONS = (
    ("knowledge", "Outside what I know"),
    ("language", "A language I do not read"),
    ("unclear", "The prompt is unclear"),
    ("broken", "Broken or cut off"),
    ("upsetting", "I would rather not"),
    ("other", "Something else"),
)


@dataclass(frozen=True)
class Answer:
    """What a person said, in the terms of the screen.

    strength: -3..3, negative when the left response is better; None for "cannot judge". seconds: time spent looking.
    guideline: the version that was shown; empty means the one in force. reason: one of REASONS, for "cannot judge".
    """

    strength: int | None
    tie_kind: str = ""
    rationale: str = ""
    reason: str = ""
    seconds: float | None = None
    guideline: str = ""


def answer_from(verdict: str, **fields: Any) -> Answer:
    """The answer behind one button. Raises KeyError for a value no button has."""
    chosen = VERDICTS[verdict]
    return Answer(strength=chosen.strength, tie_kind=chosen.tie_kind, **fields)


def turned(strength: int | None, left: str) -> int | None:
    """Screen strength to stored strength and back: the same sign when response_a was on the left, the other when not."""
    return -strength if strength and left == "b" else strength


def order_shown(left: str) -> str:
    return "ab" if left == "a" else "ba"


def left_of(order: str) -> str:
    """The side that an order puts on the left; answers whose order is not known are shown with response_a there."""
    return "b" if order == "ba" else "a"


def verdict_of(strength: int | None, tie_kind: str, left: str) -> Verdict:
    """The button a stored judgment (strength in canonical terms) corresponds to on a screen with this left side."""
    if tie_kind in VERDICTS:
        return VERDICTS[tie_kind]
    if strength is None:
        return CANNOT_JUDGE
    return SCALE[(turned(strength, left) or 0) + 3]


def side_for(*, pair: int, person: int, coin: Side) -> Side:
    """Which response goes left, given how much more often response_a was left than response_b so far.

    pair: among the other slots of the same item; person: among everything this person was shown. The pair's balance
    comes first, since it cancels a side bias within the item; the person's decides when the pair has none, or when it
    has grown past LARGEST_IMBALANCE; then the coin.
    """
    if abs(person) >= LARGEST_IMBALANCE:
        return "b" if person > 0 else "a"
    lean = pair or person
    if lean == 0:
        return coin
    return "b" if lean > 0 else "a"

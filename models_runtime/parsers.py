"""Read the verdict out of a judge's answer. Strict, pure and total: what is not plainly said is no verdict, never a guess.

A parser takes the raw text and gives a Reading in terms of what was shown first and second; mapping that back to the pair is
the caller's business. `PARSERS` names one for every judging method this project or an imported run uses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Position = Literal["first", "second", "tie"]

PARSER_VERSION = 1  # raise it when a parser reads any text differently: it is part of a judge's key


@dataclass(frozen=True)
class Reading:
    """position None: no verdict could be read. strength: -3..3, negative when the first is better; None where the protocol
    has no degrees. scores: points of the first and the second."""

    position: Position | None = None
    strength: int | None = None
    scores: tuple[float, float] | None = None


UNREADABLE = Reading()
Parser = Callable[[str | None], Reading]

_THREE_WAY = re.compile(r"\[\[([ABC])\]\]")
_FIVE_WAY = re.compile(r"\[\[(A>>B|A>B|A=B|B>A|B>>A)\]\]")
_STRENGTHS = {"A>>B": -3, "A>B": -1, "A=B": 0, "B>A": 1, "B>>A": 3}
_LETTERS: dict[str, Position] = {"A": "first", "B": "second", "C": "tie"}
_NUMBERS: dict[str, Position] = {"1": "first", "2": "second", "3": "tie"}
_OUTPUTS: dict[str, Position] = {"a": "first", "b": "second"}
_RESPONSES: dict[str, Position] = {"1": "first", "2": "second"}

_CHOICE = re.compile(r"Output \(([ab])\)\.?")
_SCORES = re.compile(r"(\d{1,2}(?:\.\d+)?)[ ,]+(\d{1,2}(?:\.\d+)?)")
_OUTPUT_CLAIM = re.compile(r"\bOutput \(([ab])\) is better\b")
_RESPONSE_CLAIM = re.compile(r"\bResponse ([12]) is better\b")
# A claim counts when it ends there or goes on with its reason, not with a condition ("if the goal is ...", "in terms of ...").
_GOES_ON = re.compile(r"\s*(?:[.!\n]|,|$)|\s+(?:because|as|since|for|due to|than)\b")
# ... and when nothing before it in its sentence takes it back or narrows it to one aspect.
_TAKEN_BACK = re.compile(
    r"\b(?:or|nor|whether|if|unless|in terms of)\b[^,]*,?\s*$|\b(?:and|both|neither|either)\s*$"
    r"|(?:\bnot|n't|\bcannot|\bnever)\s+(?:\w+\s+)?(?:say|claim|conclude|think|believe|mean|agree|determine)\b",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(r"[.!?:\n][\"')\]]*\s+|\n")
_LOOK_BACK = 400  # characters of a sentence before a claim that are looked at


def _said(text: str | None) -> str:
    """The answer without a leading block of hidden reasoning; "" when that block never ends."""
    text = (text or "").lstrip()
    return text.partition("</think>")[2] if text.startswith("<think>") else text


def bracket(text: str | None) -> Reading:
    """[[A]], [[B]] or [[C]] (tie) anywhere, in any language around it. Two different verdicts are none.

    >>> bracket("Both answer, A in more detail. [[A]]").position, bracket("したがって、私の評価は[[B]]です。").position
    ('first', 'second')
    >>> bracket("[[C]]").position, bracket("[[A]] or [[B]]?").position, bracket("[A]").position
    ('tie', None, None)
    """
    found = set(_THREE_WAY.findall(_said(text)))
    return Reading(_LETTERS[found.pop()]) if len(found) == 1 else UNREADABLE


def bracket_strength(text: str | None) -> Reading:
    """[[A>>B]], [[A>B]], [[A=B]], [[B>A]] or [[B>>A]]: much better counts 3, better counts 1.

    >>> bracket_strength("A is wrong about the date. [[B>>A]]")
    Reading(position='second', strength=3, scores=None)
    >>> bracket_strength("[[A>B]] at first, then [[B>A]]").position
    """
    found = set(_FIVE_WAY.findall(_said(text)))
    if len(found) != 1:
        return UNREADABLE
    strength = _STRENGTHS[found.pop()]
    return Reading("tie" if strength == 0 else "first" if strength < 0 else "second", strength)


def last_line_number(text: str | None) -> Reading:
    """The last line that is not blank is 1 (first better), 2 (second better) or 3 (tie) and nothing else.

    >>> last_line_number("Both are fine.\\n\\nAssistant 2 says more.\\n\\n2").position
    'second'
    >>> last_line_number("I give it 2 points").position
    """
    lines = (text or "").strip().splitlines()
    return Reading(_NUMBERS.get(lines[-1].strip())) if lines else UNREADABLE


def output_choice(text: str | None) -> Reading:
    """The whole answer is "Output (a)" or "Output (b)".

    >>> output_choice("Output (b)").position, output_choice("Output (a) or (b)").position, output_choice("").position
    ('second', None, None)
    """
    match = _CHOICE.fullmatch((text or "").strip())
    return Reading(_OUTPUTS[match[1]]) if match else UNREADABLE


def _claims(text: str, claim: re.Pattern[str]) -> set[str]:
    """The sides that the text plainly calls better."""
    sides = set()
    for match in claim.finditer(text):
        before = _SENTENCE_START.split(text[max(0, match.start() - _LOOK_BACK) : match.start()])[-1]
        if _GOES_ON.match(text, match.end()) and not _TAKEN_BACK.search(before):
            sides.add(match[1])
    return sides


def output_prose(text: str | None) -> Reading:
    """Prose that plainly says "Output (a) is better" (or (b)) and nowhere the opposite. An answer cut off before that has none.

    >>> output_prose("Output (b) is too long. Therefore, Output (a) is better.").position
    'first'
    >>> output_prose("Output (b) is better if you are in a hurry. Therefore, Output (a) is better.").position
    'first'
    >>> output_prose("I cannot claim that either Output (a) or Output (b) is better.").position
    >>> output_prose("Output (b) is better. (a) is off topic. Therefore, Output (a) is better.").position
    >>> output_prose("Considering the emphasis on randomness, Output (").position
    """
    sides = _claims(text or "", _OUTPUT_CLAIM)
    return Reading(_OUTPUTS[sides.pop()]) if len(sides) == 1 else UNREADABLE


def pandalm(text: str | None) -> Reading:
    """First line 1, 2 or Tie; where only the reason was kept, a reason that plainly says "Response 1 is better" (or 2).

    >>> pandalm("2\\n\\n### Reason: Response 2 is shorter.").position, pandalm("Tie\\n\\n### Reason: same").position
    ('second', 'tie')
    >>> pandalm("Response 1 is better because it is concise.").position, pandalm("Response 1 is concise.").position
    ('first', None)
    """
    lines = (text or "").strip().splitlines()
    if not lines:
        return UNREADABLE
    first = lines[0].strip().lower()
    if first == "tie":
        return Reading("tie")
    if first in _RESPONSES:
        return Reading(_RESPONSES[first])
    sides = _claims(text or "", _RESPONSE_CLAIM)
    return Reading(_RESPONSES[sides.pop()]) if len(sides) == 1 else UNREADABLE


def score_pair(text: str | None) -> Reading:
    """First line two scores from 0 to 10, of the first and the second response; equal scores are a tie.

    >>> score_pair("8 6.5\\nThe first one is complete.")
    Reading(position='first', strength=None, scores=(8.0, 6.5))
    >>> score_pair("7, 7").position, score_pair("8").position, score_pair("11 3").position
    ('tie', None, None)
    """
    lines = (text or "").strip().splitlines()
    match = _SCORES.fullmatch(lines[0].strip()) if lines else None
    if not match:
        return UNREADABLE
    first, second = float(match[1]), float(match[2])
    if max(first, second) > 10:
        return UNREADABLE
    return Reading("tie" if first == second else "first" if first > second else "second", scores=(first, second))


PARSERS: dict[str, Parser] = {
    "pairwise_v1": bracket,
    "pairwise_strength_v1": bracket_strength,
    "pair": bracket,
    "pair-math": bracket,
    "three-class, verdict number on the last line": last_line_number,
    "Vanilla": output_choice,
    "CoT": output_prose,
    "Rating": score_pair,
    "pandalm": pandalm,
    "pandalm-json": pandalm,
}

"""TRL preference rows: explicit prompt (prompt, chosen, rejected) or implicit (chosen, rejected), plain or conversational. Pure.

Formats: huggingface/trl, docs/source/dataset_formats.md.
"""

import os
import re
from typing import Any

from curation.importers.faults import Broken, Fault, shown
from curation.importers.fields import bounded, identifier
from curation.importers.messages import Messages, messages_of, prompt_of, response_of
from curation.importers.opinions import Opinion, graded, number
from curation.importers.reading import kind_of
from curation.types import STORED_LABEL
from models_runtime.hashing import content_hash

# Where the reply begins in the transcripts that public sets hold: the last of these in the shared beginning ends the prompt.
REPLY_STARTS = re.compile(
    r"(?:\n|^)(?:Assistant|ASSISTANT|AI|Response|### Response|### Assistant|Answer|A) ?:[ \n]?"
    r"|<\|im_start\|>assistant\n|<\|assistant\|>\n?|<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"
    r"|\[/INST\] ?|<start_of_turn>model\n"
)


def conversation(row: dict[str, Any]) -> tuple[Messages, Messages, Messages]:
    """(prompt, chosen, rejected) as messages, the last two holding the replies only. Raises Broken."""
    for name in ("chosen", "rejected"):
        if row.get(name) is None:
            raise Broken("field_missing", f"The row has no {name}.", name, ", ".join(list(row)[:20]))
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, list) != isinstance(rejected, list):
        raise Broken(
            "response_malformed", "One of chosen and rejected is a list of messages, the other is not.", "rejected", rejected
        )
    if isinstance(chosen, list):
        return conversational(row.get("prompt"), messages_of(chosen, "chosen", "response_malformed"),
                              messages_of(rejected, "rejected", "response_malformed"))  # fmt: skip
    if row.get("prompt") is not None:
        return prompt_of(row["prompt"]), response_of(chosen, "chosen"), response_of(rejected, "rejected")
    return plain_implicit(chosen, rejected)


def conversational(prompt: Any, chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    shared = shared_messages(chosen, rejected)
    if prompt is None or (shared and chosen[0]["role"] != "assistant"):
        # Sets with a prompt column often repeat it in both conversations; the conversation is the fuller one.
        if not shared:
            raise Broken(
                "no_shared_prompt", "chosen and rejected share no first message, so there is no prompt.", "chosen", chosen[0]
            )
        found = chosen[:shared]
        if prompt is not None and isinstance(prompt, list) and (whole := prompt_of(prompt)) and found[: len(whole)] != whole:
            found = whole + found
        return found, chosen[shared:], rejected[shared:]
    return prompt_of(prompt), chosen, rejected


def shared_messages(chosen: Messages, rejected: Messages) -> int:
    """How many first messages are the prompt: the same in both, and followed by a reply in both. 0: none."""
    same = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        same += 1
    for length in range(min(same, len(chosen) - 1, len(rejected) - 1), 0, -1):
        if chosen[length]["role"] == rejected[length]["role"] == "assistant":
            return length
    return 0


def plain_implicit(chosen: Any, rejected: Any) -> tuple[Messages, Messages, Messages]:
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        bad = "rejected" if isinstance(chosen, str) else "chosen"
        value = rejected if isinstance(chosen, str) else chosen
        raise Broken(
            "response_malformed",
            f"Without a prompt column {bad} must be a text or a list of messages, not {kind_of(value)}.",
            bad,
            value,
        )
    if chosen == rejected:
        raise Broken(
            "no_shared_prompt",
            "chosen and rejected are the same text, so it cannot be told where the prompt ends.",
            "chosen",
            chosen,
        )
    length = shared_text(chosen, rejected)
    if not chosen[:length].strip():
        raise Broken("no_shared_prompt", "chosen and rejected share no beginning, so there is no prompt.", "chosen", chosen)
    return prompt_of(chosen[:length]), response_of(chosen[length:], "chosen"), response_of(rejected[length:], "rejected")


def shared_text(chosen: str, rejected: str) -> int:
    """Length of the shared beginning, cut where a reply starts, else after the last line, else after the last word."""
    shared = os.path.commonprefix([chosen, rejected])
    starts = [found.end() for found in REPLY_STARTS.finditer(shared)]
    if starts:
        return starts[-1]
    line_end = shared.rfind("\n") + 1
    if shared[:line_end].strip():
        return line_end
    # A text that ends with the shared beginning leaves an empty reply: then the cut is a word earlier too.
    return max((found.end() for found in re.finditer(r"\s+", shared)), default=0)


def canonically_swapped(chosen: Messages, rejected: Messages) -> bool:
    """Whether the rejected reply comes first in canonical order: position must not carry the label."""
    return content_hash(rejected) < content_hash(chosen)


USED = frozenset({"id", "prompt", "chosen", "rejected", "margin", "score_chosen", "score_rejected"})


def stored_label(row: dict[str, Any], sign: int, faults: list[Fault]) -> Opinion:
    """The label of the file: `sign` is -1 where response_a is the chosen one. margin and scores are kept as they are."""
    detail = {name: row[name] for name in ("margin", "score_chosen", "score_rejected") if row.get(name) is not None}
    margin = number(row.get("margin"), "margin", faults)
    better, worse = (number(row.get(name), name, faults) for name in ("score_chosen", "score_rejected"))
    gap = better - worse if better is not None and worse is not None else None
    for name, value, what in (("margin", margin, "margin"), ("score_chosen", gap, "difference of the scores")):
        if value is not None and value < 0:
            reason = f"The {what} is {value:g}, against the label; the label stands."
            faults.append(Fault("margin_contradicts_label", reason, name, shown(value)))
    size = graded(margin, rated=False) if margin is not None and margin > 0 else 1
    return Opinion("imported", STORED_LABEL, sign * size, detail=bounded(detail, "detail_too_large", "margin", faults))


def row_id(row: dict[str, Any], prompt: Messages, chosen: Messages, rejected: Messages) -> str:
    """`id` where there is one; else a name made from the content, so that the same row gets the same one every time.

    prompt_id names the prompt, which several pairs may share; it begins the made-up name. Which reply is the chosen one is
    part of it: the same pair with the opposite label is another row.
    """
    if row.get("id") is not None:
        return identifier(row["id"], "id")
    digest = content_hash([prompt, chosen, rejected]).hex()[:24]
    beginning = row.get("prompt_id")
    return f"{beginning[:170]}/{digest}" if isinstance(beginning, str) and beginning.strip() else f"row-{digest}"


def metadata(row: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    extra = {key: value for key, value in row.items() if key not in USED and value is not None}
    return bounded(extra, "metadata_too_large", "", faults)

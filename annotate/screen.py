"""What the judging page shows. Nothing here may come from another judge, a model, or the pair's metadata or label."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.http import Http404
from django.utils import timezone

from annotate import guidelines, progress, slots
from annotate.answers import BOTH_BAD, CANNOT_JUDGE, REASONS, SCALE, VERDICTS, left_of, verdict_of
from annotate.models import Guideline, Slot
from curation.models import Dataset, Judgment, Pair, User

SALT = "annotate.handed_out"


@dataclass(frozen=True)
class Side:
    name: str  # "left" or "right"
    heading: str
    messages: list[dict[str, Any]]


@dataclass(frozen=True)
class Screen:
    """One pair on screen: the prompt, both sides as drawn, and the form's starting values."""

    prompt: list[dict[str, Any]]
    sides: tuple[Side, Side]
    draft: dict[str, Any]
    client_id: UUID | None = None
    ticket: str = ""
    scale: tuple = SCALE
    others: tuple = (BOTH_BAD, CANNOT_JUDGE)
    reasons: tuple = REASONS
    errors: list[str] = field(default_factory=list)


def ticket_for(slot: Slot, guideline: Guideline) -> str:
    """Signed proof of what was handed to whom, so that a late answer still maps to the sides that were seen."""
    leased = slot.leased_at.isoformat() if slot.leased_at else ""
    return signing.dumps([slot.pk, slot.annotator_id, slot.left, leased, guideline.label], salt=SALT)


def handed_out(ticket: str, dataset: Dataset, user: User) -> tuple[Slot, str]:
    """The slot as this person saw it, and the guideline version shown. Raises Http404 for anything but their own ticket."""
    try:
        pk, user_id, left, leased, guideline = signing.loads(ticket, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise Http404("This form is not one of ours.") from None
    slot = Slot.objects.select_related("dataset__workspace", "item__pair").filter(pk=pk, dataset=dataset).first()
    if slot is None or user_id != user.pk:
        raise Http404("This pair was handed to somebody else.")
    slot.annotator, slot.left = user, left
    slot.leased_at = datetime.fromisoformat(leased) if leased else None
    return slot, guideline


def seconds_since(moment: datetime | None) -> float | None:
    return (timezone.now() - moment).total_seconds() if moment else None


def sides(pair: Pair, left: str) -> tuple[Side, Side]:
    shown = (pair.response_a, pair.response_b) if left == "a" else (pair.response_b, pair.response_a)
    return Side("left", "Response 1 (left)", shown[0].messages), Side("right", "Response 2 (right)", shown[1].messages)


def of_slot(slot: Slot, guideline: Guideline, *, draft: dict[str, Any] | None = None, errors: list[str] | None = None) -> Screen:
    pair = Pair.objects.select_related("prompt", "response_a", "response_b").get(pk=slot.item.pair_id)
    return Screen(
        prompt=pair.prompt.messages,
        sides=sides(pair, slot.left),
        draft=slot.draft if draft is None else draft,
        client_id=slots.client_id_of(slot),
        ticket=ticket_for(slot, guideline),
        errors=errors or [],
    )


def of_judgment(judgment: Judgment, *, draft: dict[str, Any] | None = None, errors: list[str] | None = None) -> Screen:
    """A person's own answer, shown the same way round as when it was given."""
    pair = Pair.objects.select_related("prompt", "response_a", "response_b").get(pk=judgment.pair_id)
    return Screen(
        prompt=pair.prompt.messages,
        sides=sides(pair, left_of(judgment.order_shown)),
        draft=draft_of(judgment) if draft is None else draft,
        errors=errors or [],
    )


def draft_of(judgment: Judgment) -> dict[str, Any]:
    verdict = verdict_of(judgment.strength, judgment.tie_kind, left_of(judgment.order_shown))
    return {"verdict": verdict.value, "rationale": judgment.rationale, "reason": judgment.detail.get("reason", "")}


def words(judgment: Judgment) -> str:
    """The stored answer in the words of the button that gave it."""
    return VERDICTS[draft_of(judgment)["verdict"]].label


def judging(dataset: Dataset, user: User, *, slot: Slot | None, **shown: Any) -> dict[str, Any]:
    """The context of the judging page: the slot's screen, or why there is none. `shown`: draft, errors."""
    guideline = guidelines.in_force(dataset)
    return {
        "dataset": dataset,
        "screen": of_slot(slot, guideline, **shown) if slot else None,
        "empty": None if slot else progress.why_empty(dataset, user),
        "progress": progress.own(dataset, user),
        "guideline": guideline,
        "guideline_unseen": not guidelines.seen(guideline, user),
    }

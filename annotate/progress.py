"""A person's own counts, and what an empty queue means to them. Derived on every call, nothing stored."""

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from django.db.models import Min, Q
from django.utils import timezone

from annotate import slots
from annotate.models import Slot
from curation import judgments
from curation.models import Dataset, User


@dataclass(frozen=True)
class Progress:
    """today, total: answers in force; left: pairs that could still be handed to this person, held ones included."""

    today: int
    total: int
    left: int


@dataclass(frozen=True)
class Emptiness:
    """Why nobody was handed a pair. next_at: when the first lease of somebody else runs out (state leased)."""

    state: Literal["nothing_open", "leased", "all_done"]
    next_at: datetime | None = None


def own(dataset: Dataset, user: User) -> Progress:
    given = judgments.current(dataset).filter(judge__user=user)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    waiting = slots.wanted_from(dataset, user).values("item").distinct().count()
    return Progress(
        today=given.filter(created_at__gte=midnight).count(),
        total=given.count(),
        left=waiting + slots.held_by(user, dataset).count(),
    )


def median_seconds(dataset: Dataset, user: User, *, latest: int = 500) -> float | None:
    """Over the latest answers that were timed; None when none was."""
    timed = judgments.current(dataset).filter(judge__user=user, seconds__isnull=False).order_by("-id")
    seconds = list(timed.values_list("seconds", flat=True)[:latest])
    return median(seconds) if seconds else None


def why_empty(dataset: Dataset, user: User) -> Emptiness:
    held_elsewhere = slots.wanted_from(dataset, user).filter(~Q(annotator=user), lease_until__gte=timezone.now())
    next_at = held_elsewhere.aggregate(at=Min("lease_until"))["at"]
    if next_at is not None:
        return Emptiness("leased", next_at)
    answered = Slot.objects.filter(dataset=dataset, annotator=user, judgment__isnull=False, item__batch__closed_at=None)
    unanswered = Slot.objects.filter(dataset=dataset, judgment=None, item__batch__closed_at=None)
    return Emptiness("all_done" if answered.exists() or unanswered.exists() else "nothing_open")

"""The only writer of slots and skips: who is asked about which pair, and what became of it.

Each person does one thing at a time: every function locks the person's own row first, so that double clicks, retried
requests and two open tabs queue up instead of racing. Different people never wait for each other (SKIP LOCKED).
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from annotate import guidelines
from annotate.answers import Answer, order_shown, side_for, turned, verdict_of
from annotate.models import Skip, Slot
from curation import judgments, runs
from curation.models import Dataset, Judge, Judgment, ReviewBatch, ReviewItem, User

LEASE = timedelta(minutes=20)
UNDO_REACH = 10  # how many actions can be taken back in a row


class NotYours(PermissionDenied):
    """The answer belongs to somebody else."""


@dataclass(frozen=True)
class Outcome:
    """What became of an answer.

    saved: it fills its slot. repeated: it, or an earlier one for the same slot, was already there and stands.
    extra: the lease had run out and others had taken every slot, so it is kept in the ledger beside theirs.
    """

    judgment: Judgment
    state: Literal["saved", "repeated", "extra"]


@dataclass(frozen=True)
class Undone:
    """What was taken back; slot is None when somebody else has taken the skipped pair meanwhile."""

    what: Literal["answer", "skip"]
    slot: Slot | None


FILL = """
    INSERT INTO annotate_slot (item_id, number, dataset_id, position, "left", draft)
    SELECT item.id, number, %(dataset)s, item.position, '', '{}'
    FROM curation_reviewitem item, generate_series(0, %(overlap)s - 1) AS number
    WHERE item.batch_id = %(batch)s
    ON CONFLICT DO NOTHING
"""


def fill(dataset: Dataset) -> int:
    """Make the slots of every open batch that has none yet. Returns how many were made; calling again makes none."""
    made = 0
    waiting = ReviewBatch.objects.filter(dataset=dataset, slots_made_at=None, closed_at=None)
    for batch_id in waiting.order_by("id").values_list("id", flat=True):
        with transaction.atomic():
            batch = waiting.select_for_update().filter(id=batch_id).first()
            if batch is None:
                continue
            with connection.cursor() as cursor:
                cursor.execute(FILL, {"dataset": dataset.pk, "batch": batch.pk, "overlap": batch.overlap})
                made += cursor.rowcount
            batch.slots_made_at = timezone.now()
            batch.save(update_fields=["slots_made_at"])
    return made


def wanted_from(dataset: Dataset, user: User) -> QuerySet[Slot]:
    """Unanswered slots of open batches that this person could fill, whether or not others hold them now.

    Left out are pairs they hold or answered in any open batch, skipped, or judged since the batch was opened.
    """
    same_pair = Q(item__pair=OuterRef("item__pair"))
    mine = Slot.objects.filter(same_pair, annotator=user, item__batch__closed_at=None)
    passed = Skip.objects.filter(same_pair, annotator=user, undone_at=None)
    judged = Judgment.objects.filter(
        judge__user=user,
        pair=OuterRef("item__pair"),
        created_at__gte=OuterRef("item__batch__created_at"),
        retracted=False,
        superseded_by=None,
    )
    open_slots = Slot.objects.filter(dataset=dataset, judgment=None, item__batch__closed_at=None)
    return open_slots.filter(~Exists(mine), ~Exists(passed), ~Exists(judged))


def held_by(user: User, dataset: Dataset) -> QuerySet[Slot]:
    """Slots this person was handed and has not answered, in open batches; expired leases nobody took are among them."""
    return Slot.objects.filter(dataset=dataset, annotator=user, judgment=None, item__batch__closed_at=None)


def one_at_a_time(user: User) -> None:
    """Queue this person's requests behind each other until the transaction ends."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)


@transaction.atomic
def claim(dataset: Dataset, user: User) -> Slot | None:
    """The slot this person should answer now, leased to them; None when there is none for them.

    What they already hold comes first (the latest first, so that an undone answer comes back at once), then the free
    slot that is most wanted. The row is locked before its new holder is written and locked rows are passed over, so
    no slot is handed out twice and nobody waits.
    """
    fill(dataset)
    one_at_a_time(user)
    now = timezone.now()
    slot = locked(held_by(user, dataset).order_by("-leased_at", "id"))
    if slot is not None:
        slot.lease_until = now + LEASE
        slot.save(update_fields=["lease_until"])
        return slot
    slot = locked_if_free(wanted_from(dataset, user).filter(vacant(now)).order_by("position", "id"))
    return lease(slot, user, left=draw_left(slot, user)) if slot else None


def vacant(now: datetime) -> Q:
    return Q(annotator=None) | Q(lease_until__lt=now)


def locked(slots: QuerySet[Slot]) -> Slot | None:
    """The first of this person's own slots, locked until the transaction ends.

    It waits: somebody else's claim may hold a lock on the row for a moment although it then passes the row over.
    """
    return slots.select_for_update(of=("self",)).select_related("item__batch", "item__pair", "dataset__workspace").first()


def locked_if_free(slots: QuerySet[Slot]) -> Slot | None:
    """The first of these that nobody else is just taking, locked until the transaction ends. Never waits."""
    rows = slots.select_for_update(of=("self",), skip_locked=True)
    return rows.select_related("item__batch", "item__pair", "dataset__workspace").first()


def lease(slot: Slot, user: User, *, left: str, draft: dict[str, Any] | None = None) -> Slot:
    """Hand a locked slot to this person. Another person's draft never stays on it."""
    now = timezone.now()
    slot.annotator, slot.left, slot.draft = user, left, draft or {}
    slot.leased_at, slot.lease_until = now, now + LEASE
    slot.judgment, slot.answered_at = None, None
    slot.save(update_fields=["annotator", "left", "draft", "leased_at", "lease_until", "judgment", "answered_at"])
    return slot


def draw_left(slot: Slot, user: User) -> str:
    """Which response goes left: balanced within the item and for the person (see answers.side_for)."""
    # Two people taking two slots of one item at the same moment must see each other's side.
    ReviewItem.objects.select_for_update(no_key=True).only("pk").get(pk=slot.item_id)
    pair = lean(Slot.objects.filter(item=slot.item_id).exclude(pk=slot.pk))
    person = lean(Slot.objects.filter(dataset=slot.dataset_id, annotator=user).exclude(pk=slot.pk))
    return side_for(pair=pair, person=person, coin=secrets.choice(("a", "b")))


def lean(slots: QuerySet[Slot]) -> int:
    """How much more often response_a than response_b was on the left of these."""
    counts = slots.aggregate(a=Count("id", filter=Q(left="a")), b=Count("id", filter=Q(left="b")))
    return counts["a"] - counts["b"]


def client_id_of(slot: Slot) -> uuid.UUID:
    """The id under which the answer to this lease is stored: the same in every tab and for every retry."""
    value = f"{slot.pk}:{slot.annotator_id}:{slot.leased_at.isoformat() if slot.leased_at else ''}"
    return uuid.UUID(bytes=salted_hmac("annotate.client_id", value, algorithm="sha256").digest()[:16], version=4)


@transaction.atomic
def submit(slot: Slot, user: User, answer: Answer, client_id: uuid.UUID | None = None) -> Outcome:
    """Record an answer to a slot as it was handed out; `slot.left` says what the person saw on the left.

    Sending the same client_id again returns the first judgment. An answer that comes after the lease ran out is never
    lost: it takes the slot back if it is still vacant, else another vacant slot of the item, else it is an extra
    judgment. Raises NotYours when the slot was handed to somebody else or the client_id is another person's.
    """
    if slot.annotator_id != user.pk:
        raise NotYours("This pair was handed to somebody else.")
    one_at_a_time(user)
    client_id = client_id or client_id_of(slot)
    first = already_answered(slot, user, client_id)
    if first is not None:
        return Outcome(first, "repeated")
    target = slot_to_fill(slot, user)
    judgment = write_judgment(slot, user, answer, client_id)
    if target is not None:
        target.annotator, target.left, target.draft = user, slot.left, {}
        target.judgment, target.answered_at, target.lease_until = judgment, timezone.now(), None
        target.save(update_fields=["annotator", "left", "draft", "judgment", "answered_at", "lease_until"])
    transaction.on_commit(lambda: runs.reviews_answered(slot.dataset), robust=True)
    return Outcome(judgment, "saved" if target else "extra")


def already_answered(slot: Slot, user: User, client_id: uuid.UUID) -> Judgment | None:
    """The judgment this answer repeats: sent under the same id, or given to the same item from another tab."""
    sent = Judgment.objects.select_related("judge").filter(client_id=client_id).first()
    if sent is not None and (sent.judge.user_id != user.pk or sent.dataset_id != slot.dataset_id):
        raise NotYours("This answer was sent by somebody else.")
    if sent is not None:
        return sent
    answered = Slot.objects.select_related("judgment").filter(item=slot.item_id, annotator=user, judgment__isnull=False).first()
    return answered.judgment if answered else None


def slot_to_fill(slot: Slot, user: User) -> Slot | None:
    """The slot of the item that this answer fills: the person's own, else the one they had, else any vacant one."""
    candidates = Slot.objects.filter(item=slot.item_id, judgment=None)
    own = locked(candidates.filter(annotator=user))
    if own is not None:
        return own
    free = candidates.filter(vacant(timezone.now()))
    return locked_if_free(free.filter(pk=slot.pk)) or locked_if_free(free.order_by("number"))


def write_judgment(slot: Slot, user: User, answer: Answer, client_id: uuid.UUID) -> Judgment:
    pair, dataset = slot.item.pair, slot.dataset
    judge = judgments.human_judge(dataset.workspace, user)
    former = Judgment.objects.filter(pair=pair, judge=judge)
    taken_back = former.filter(retracted=True, superseded_by=None).order_by("-id").first()
    return judgments.record(
        pair,
        judge,
        **stored_answer(answer, slot.left, dataset),
        occasion=taken_back.occasion if taken_back else former.filter(supersedes=None).count(),
        supersedes=taken_back,
        client_id=client_id,
    )


def stored_answer(answer: Answer, left: str, dataset: Dataset) -> dict[str, Any]:
    """The fields of a judgment row that hold this answer, in canonical terms."""
    return {
        "strength": turned(answer.strength, left),
        "tie_kind": answer.tie_kind,
        "rationale": answer.rationale,
        "order_shown": order_shown(left),
        "seconds": answer.seconds,
        "detail": {"reason": answer.reason} if answer.reason else {},
        "guideline": answer.guideline or guidelines.in_force(dataset).label,
    }


@transaction.atomic
def edit(judgment: Judgment, user: User, answer: Answer, client_id: uuid.UUID | None = None) -> Outcome:
    """Change one's mind: a new judgment that supersedes the latest of the given one's successors, shown the same way round.

    Raises NotYours for another person's judgment or client_id, and for a judgment that was taken back.
    """
    one_at_a_time(user)
    judge = Judge.objects.select_related("workspace").get(pk=judgment.judge_id)
    if judge.user_id != user.pk:
        raise NotYours("This answer is somebody else's.")
    sent = Judgment.objects.filter(client_id=client_id).first() if client_id else None
    if sent is not None and sent.judge_id != judge.pk:
        raise NotYours("This answer was sent by somebody else.")
    if sent is not None:
        return Outcome(sent, "repeated")
    latest = latest_of(judgment)
    if latest.retracted:
        raise NotYours("This answer was taken back.")
    left = "b" if latest.order_shown == "ba" else "a"
    fields = {**stored_answer(answer, left, latest.dataset), "order_shown": latest.order_shown, "occasion": latest.occasion}
    changed = judgments.record(latest.pair, judge, **fields, supersedes=latest, client_id=client_id)
    Slot.objects.filter(judgment=latest).update(judgment=changed)
    transaction.on_commit(lambda: runs.reviews_answered(latest.dataset), robust=True)
    return Outcome(changed, "saved")


def latest_of(judgment: Judgment) -> Judgment:
    """The end of the chain of changes of mind that starts here."""
    following = Judgment.objects.filter(supersedes=judgment).first()
    while following is not None:
        judgment, following = following, Judgment.objects.filter(supersedes=following).first()
    return judgment


@transaction.atomic
def skip(slot: Slot, user: User, *, reason: str = "") -> Skip:
    """Pass on a pair: the slot goes back and this person is not asked about the pair again unless they undo it."""
    one_at_a_time(user)
    passed, _ = Skip.objects.get_or_create(
        item_id=slot.item_id, annotator=user, undone_at=None, defaults={"reason": reason[:200]}
    )
    Slot.objects.filter(item=slot.item_id, annotator=user, judgment=None).update(
        annotator=None, left="", draft={}, leased_at=None, lease_until=None
    )
    return passed


@transaction.atomic
def undo(user: User, dataset: Dataset) -> Undone | None:
    """Take back this person's latest answer or skip in an open batch; their slot is leased to them again.

    The former answer is the slot's new draft. Can be repeated up to UNDO_REACH times. None: nothing to take back.
    """
    one_at_a_time(user)
    if held_by(user, dataset).count() > UNDO_REACH:
        return None
    open_batch = {"item__batch__dataset": dataset, "item__batch__closed_at": None}
    passed = Skip.objects.filter(annotator=user, undone_at=None, **open_batch).order_by("-created_at").first()
    answered = locked(Slot.objects.filter(annotator=user, judgment__isnull=False, **open_batch).order_by("-answered_at"))
    if answered and not (passed and passed.created_at > answered.answered_at):
        return Undone("answer", take_back_answer(answered, user))
    return Undone("skip", take_back_skip(passed, user)) if passed else None


def take_back_answer(slot: Slot, user: User) -> Slot:
    former = slot.judgment
    verdict = verdict_of(former.strength, former.tie_kind, slot.left)
    draft = {"verdict": verdict.value, "rationale": former.rationale, "reason": former.detail.get("reason", "")}
    judgments.retract(former)
    return lease(slot, user, left=slot.left, draft=draft)


def take_back_skip(passed: Skip, user: User) -> Slot | None:
    passed.undone_at = timezone.now()
    passed.save(update_fields=["undone_at"])
    if Slot.objects.filter(item=passed.item_id, annotator=user).exists():
        return None
    slot = locked_if_free(Slot.objects.filter(vacant(timezone.now()), item=passed.item_id, judgment=None).order_by("number"))
    return lease(slot, user, left=draw_left(slot, user)) if slot else None


@transaction.atomic
def renew(slot: Slot, user: User) -> bool:
    """Keep the lease alive while the person is at work. False when the slot is no longer theirs."""
    one_at_a_time(user)
    return bool(unanswered(slot, user).update(lease_until=timezone.now() + LEASE))


@transaction.atomic
def save_draft(slot: Slot, user: User, draft: dict[str, Any]) -> bool:
    """Keep a half-finished answer and renew the lease. False when the slot is no longer theirs or is answered."""
    one_at_a_time(user)
    return bool(unanswered(slot, user).update(draft=draft, lease_until=timezone.now() + LEASE))


def unanswered(slot: Slot, user: User) -> QuerySet[Slot]:
    """The slot while it still is as it was handed out: a tab left open must not overwrite what came after."""
    return Slot.objects.filter(pk=slot.pk, annotator=user, judgment=None, leased_at=slot.leased_at)

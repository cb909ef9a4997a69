"""The only writer of decisions and of Pair.pool. Append-only: undoing is a new decision that restores what was before."""

from collections.abc import Mapping, Sequence

from django.db import transaction

from curation import judgments
from curation.bulk import insert_new
from curation.models import Action, Decision, Pair, Pool, Run, User
from curation.types import Ruling, verdict_of

CURATOR = "curator"  # reason of a decision by hand
UNDO = "undo"
CHOICES = {
    "a": "Response A is better",
    "b": "Response B is better",
    "tie": "Equally good",
    "drop": "Leave the pair out",
    "to_human": "Send to people",
    "undo": "Undo the last decision",
}
CHOICE_STRENGTHS = {"a": -1.0, "b": 1.0, "tie": 0.0}


class Refused(Exception):
    """This decision cannot be made; the message says why."""


def pool_after(action: str, by: str, pool_before: str) -> str:
    """The pool a decision puts a pair in. by: "people", "models" or "rule", as Ruling.by."""
    if action == Action.DROP:
        return Pool.DISCARDED
    if action == Action.TO_HUMAN:
        return Pool.UNVERIFIED
    if by == "people":
        return Pool.GOLD
    return Pool.RECYCLED if action == Action.FLIP and pool_before == Pool.DISCARDED else Pool.SILVER


def decide_many(run: Run, rulings: Sequence[tuple[int, Ruling]]) -> int:
    """Decisions of one run on these pairs. Returns how many were new.

    Passed over: pairs on which the same stands already, and pairs on which a curator decided by hand. Call it again and
    nothing changes.
    """
    with transaction.atomic():
        ids = [pair for pair, _ in rulings]
        pairs = {
            pair.pk: pair for pair in Pair.objects.select_for_update().filter(dataset=run.dataset, pk__in=ids).order_by("pk")
        }
        standing = latest_decisions(ids)
        fresh = [
            new_decision(pairs[pair], ruling, run=run)
            for pair, ruling in rulings
            if pair in pairs and not stands(standing.get(pair), ruling, pairs[pair].pool)
        ]
        inserted = insert_new(fresh)
        move(fresh)
        return inserted


def stands(last: Decision | None, ruling: Ruling, pool: str) -> bool:
    """Whether this ruling would say nothing new, or has nothing to say against a curator."""
    if last is None:
        return False
    if last.user_id and last.reason != UNDO and last.action != Action.TO_HUMAN:
        return True
    same = (last.action, last.reason, last.strength) == (ruling.action, ruling.reason, ruling.strength)
    return same and last.pool_after == pool == pool_after(ruling.action, ruling.by, last.pool_before)


def new_decision(pair: Pair, ruling: Ruling, *, run: Run | None = None, user: User | None = None) -> Decision:
    return Decision(
        dataset_id=pair.dataset_id, pair=pair, run=run, user=user, action=ruling.action, reason=ruling.reason,
        pool_before=pair.pool, pool_after=pool_after(ruling.action, ruling.by, pair.pool),
        strength=ruling.strength, detail=dict(ruling.detail),
    )  # fmt: skip


def move(made: Sequence[Decision]) -> None:
    """Put the pairs of these decisions where the decisions say, one statement per pool."""
    for pool in sorted({decision.pool_after for decision in made}):
        ids = [decision.pair_id for decision in made if decision.pool_after == pool]
        Pair.objects.filter(pk__in=ids).exclude(pool=pool).update(pool=pool)


def decide_one(
    pair: Pair, *, user: User, action: str, reason: str = CURATOR, strength: float | None = None, note: str = ""
) -> Decision:
    """A curator's decision by hand. Raises Refused where action and strength do not go together."""
    labelled = action in (Action.KEEP, Action.FLIP, Action.RELABEL)
    if action not in Action.values or labelled != (strength is not None):
        raise Refused(f"The action {action!r} does not go with the strength {strength!r}.")
    if strength is not None and not -3 <= strength <= 3:
        raise Refused(f"A strength lies between -3 and 3, not at {strength}.")
    ruling = Ruling(action=action, reason=reason, by="people", strength=strength, detail={"note": note} if note else {})
    with transaction.atomic():
        return save(new_decision(Pair.objects.select_for_update().get(pk=pair.pk), ruling, user=user))


@transaction.atomic
def decide_by_hand(pair: Pair, *, user: User, choice: str, note: str = "", seen: int | None = None) -> Decision:
    """What the form on a pair's page asks for; `choice` is one of CHOICES. Raises Refused.

    seen: id of the latest decision on the page (0: none). Where there is a newer one by now, as after a double click, nothing
    is decided: an undo sent twice would take back two.
    """
    if seen is not None:
        Pair.objects.select_for_update().get(pk=pair.pk)
        last = latest_decisions([pair.pk]).get(pair.pk)
        if seen != (last.pk if last else 0):
            raise Refused("This pair was decided since the page was loaded. Look at the latest decision below first.")
    if choice == "undo":
        return undo(pair, user=user, note=note)
    if choice in ("drop", "to_human"):
        return decide_one(pair, user=user, action=choice, note=note)
    if choice not in CHOICE_STRENGTHS:
        raise Refused(f"There is no choice {choice!r}; there are: {', '.join(CHOICES)}.")
    action, strength = against_stored(stored_strength(pair), CHOICE_STRENGTHS[choice])
    return decide_one(pair, user=user, action=action, strength=strength, note=note)


def against_stored(stored: int | None, wanted: float) -> tuple[Action, float]:
    """How a label compares with the stored one: (action, strength); a confirmed label keeps its own strength."""
    if stored is not None and verdict_of(stored) == verdict_of(wanted):
        return Action.KEEP, float(stored)
    return (Action.FLIP if stored and wanted else Action.RELABEL), wanted


def undo(pair: Pair, *, user: User, note: str = "") -> Decision:
    """Restore what stood before the latest decision in force; undoing twice goes back two. Raises Refused: nothing to undo."""
    with transaction.atomic():
        locked = Pair.objects.select_for_update().get(pk=pair.pk)
        history = undoable(locked)
        if not history:
            raise Refused("There is no decision to undo.")
        undone, before = history[-1], history[-2] if len(history) > 1 else None
        restored = Decision(
            dataset_id=locked.dataset_id, pair=locked, user=user, reason=UNDO,
            action=before.action if before else Action.TO_HUMAN, strength=before.strength if before else None,
            pool_before=locked.pool, pool_after=undone.pool_before,
            detail={"undoes": undone.pk, "restores": before.pk if before else None, **({"note": note} if note else {})},
        )  # fmt: skip
        return save(restored)


def undoable(pair: Pair) -> list[Decision]:
    """Decisions that still stand, oldest first: each undo takes away itself and the one it undid."""
    standing: list[Decision] = []
    for decision in Decision.objects.filter(pair=pair).order_by("id"):
        if decision.reason == UNDO:
            standing.pop()
        else:
            standing.append(decision)
    return standing


def save(decision: Decision) -> Decision:
    """Write one decision and move its pair; the caller's transaction holds the pair's lock."""
    decision.save(force_insert=True)
    move([decision])
    return decision


def latest_decisions(pairs: Sequence[int]) -> Mapping[int, Decision]:
    """The newest decision of each of these pairs that has one."""
    newest = Decision.objects.filter(pair__in=pairs).order_by("pair_id", "-id").distinct("pair_id")
    return {decision.pair_id: decision for decision in newest}


def stored_strength(pair: Pair) -> int | None:
    return judgments.stored_labels(pair.dataset_id).filter(pair=pair).values_list("strength", flat=True).first()


def label_in_force(pair: Pair) -> float | None:
    """Signed strength of the label the pair has now: the latest decision's, or the stored one where nothing was decided."""
    last = Decision.objects.filter(pair=pair).order_by("-id").first()
    return last.strength if last else stored_strength(pair)

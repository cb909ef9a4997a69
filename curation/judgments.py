"""The only writer of judges and judgments. The ledger is append-only: a change of mind is a new row that supersedes the old."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Sign
from django.utils import timezone

from curation.bulk import insert_new
from curation.models import Dataset, Judge, JudgeKind, Judgment, Pair, Run, TieKind, User, Workspace
from curation.types import STORED_LABEL
from models_runtime.hashing import key_of


class Refused(Exception):
    """This judgment cannot be written; the message says why."""


@dataclass(frozen=True)
class NewJudgment:
    """One row for record_many(); fields as in models.Judgment."""

    pair_id: int
    judge: Judge
    strength: int | None
    tie_kind: str = ""
    probability: float | None = None
    rationale: str = ""
    order_shown: str = ""
    occasion: int = 0
    seconds: float | None = None
    raw_output: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def human_judge(workspace: Workspace, user: User) -> Judge:
    """The one judge that stands for this person in this workspace."""
    defaults = {"kind": JudgeKind.HUMAN, "name": user.get_username(), "version": f"user-{user.pk}"}
    return Judge.objects.get_or_create(workspace=workspace, user=user, defaults=defaults)[0]


def model_judge(
    workspace: Workspace, kind: str, name: str, *, method: str = "", spec: dict[str, Any], is_gold: bool = False
) -> Judge:
    """A judge without a person; its version is the hash of `spec`, so that whatever changes its answers makes another judge."""
    version = key_of(spec) if spec else ""
    defaults = {"spec": spec, "is_gold": is_gold}
    return Judge.objects.get_or_create(
        workspace=workspace, kind=kind, name=name, method=method, version=version, defaults=defaults
    )[0]


def current(dataset: Dataset) -> QuerySet[Judgment]:
    """Judgments in force: nobody supersedes them and they are not retracted."""
    return in_force(Judgment.objects.filter(dataset=dataset))


def in_force(judgments: QuerySet[Judgment]) -> QuerySet[Judgment]:
    """Those of `judgments` that are in force; for narrower questions than current()."""
    return judgments.filter(~Exists(Judgment.objects.filter(supersedes=OuterRef("pk"))), retracted=False)


def stored_labels(dataset: Dataset | int) -> QuerySet[Judgment]:
    """Labels that the pairs of this dataset came with, in force; a pair has one at most."""
    own = Judgment.objects.filter(dataset=dataset, judge__kind=JudgeKind.IMPORTED, judge__name=STORED_LABEL)
    return in_force(own).order_by("id")


def stored_side(dataset: Dataset, *, pair: str = "pk") -> Subquery:
    """-1, 0 or 1 of the label a pair came with, null where it came without; `pair` names the outer row's pair id."""
    labels = stored_labels(dataset).filter(pair=OuterRef(pair))
    return Subquery(labels.values(side=Sign("strength"))[:1], output_field=IntegerField())


def record(
    pair: Pair,
    judge: Judge,
    *,
    strength: int | None,
    tie_kind: str = "",
    probability: float | None = None,
    rationale: str = "",
    order_shown: str = "",
    occasion: int = 0,
    seconds: float | None = None,
    raw_output: str = "",
    detail: dict[str, Any] | None = None,
    guideline: str = "",
    client_id: UUID | None = None,
    supersedes: Judgment | None = None,
    run: Run | None = None,
) -> Judgment:
    """Write one judgment. The same client_id again returns the first row, also when both arrive at once.

    An answer given again after it was taken back supersedes the retraction. Raises Refused when `supersedes` is not this
    judge's judgment in force on this pair, when the judge already answered, or when strength does not fit tie_kind.
    """
    check_strength(strength, tie_kind)
    new = Judgment(
        dataset_id=pair.dataset_id, pair=pair, judge=judge, strength=strength, tie_kind=tie_kind, probability=probability,
        rationale=rationale, order_shown=order_shown, occasion=occasion, seconds=seconds, raw_output=raw_output,
        detail=detail or {}, guideline=guideline, client_id=client_id, run=run,
        supersedes=supersedes or taken_back(pair, judge, order_shown, occasion),
    )  # fmt: skip
    return append(new)


def retract(judgment: Judgment, *, client_id: UUID | None = None) -> Judgment:
    """Take an answer back: a new row that supersedes it and holds no verdict. Same errors as record()."""
    new = Judgment(
        dataset_id=judgment.dataset_id, pair_id=judgment.pair_id, judge_id=judgment.judge_id, strength=None, retracted=True,
        order_shown=judgment.order_shown, occasion=judgment.occasion, client_id=client_id, supersedes=judgment,
    )  # fmt: skip
    return append(new)


def record_many(judgments: Sequence[NewJudgment], *, dataset: Dataset, run: Run | None = None) -> int:
    """Write those not there yet (by pair, judge, order and occasion), in one order for all callers. Returns how many were new."""
    ordered = sorted(judgments, key=lambda new: (new.pair_id, new.judge.pk, new.order_shown, new.occasion))
    rows = []
    for new in ordered:
        check_strength(new.strength, new.tie_kind)
        rows.append(
            Judgment(
                dataset=dataset, pair_id=new.pair_id, judge=new.judge, strength=new.strength, tie_kind=new.tie_kind,
                probability=new.probability, rationale=new.rationale, order_shown=new.order_shown, occasion=new.occasion,
                seconds=new.seconds, raw_output=new.raw_output, detail=new.detail, run=run,
            )
        )  # fmt: skip
    return insert_new(rows)


def append(new: Judgment) -> Judgment:
    """Insert one judgment, or return the row that this client_id already made."""
    try:
        with transaction.atomic():
            first = first_sent(new)
            if first is not None:
                return first
            check_supersedes(new)
            new.save(force_insert=True)
            return new
    except IntegrityError:
        first = first_sent(new)
        if first is None:
            raise Refused("This judge already answered this pair; name the judgment that the new one supersedes.") from None
        return first


def first_sent(new: Judgment) -> Judgment | None:
    """The row made by an earlier sending of the same form, if any."""
    if new.client_id is None:
        return None
    first = Judgment.objects.filter(client_id=new.client_id).first()
    if first is not None and (first.judge_id, first.pair_id) != (new.judge_id, new.pair_id):
        raise Refused("This client_id belongs to another answer.")
    return first


def check_supersedes(new: Judgment) -> None:
    old = new.supersedes
    if old is None:
        return
    if (old.judge_id, old.pair_id) != (new.judge_id, new.pair_id):
        raise Refused("A judgment can supersede only one by the same judge on the same pair.")
    if Judgment.objects.filter(supersedes=old).exists():
        raise Refused("This judgment is no longer in force: a newer one supersedes it.")


def check_strength(strength: int | None, tie_kind: str) -> None:
    """The rule that the database holds too, as a message a person can read."""
    if tie_kind in (TieKind.TIE, TieKind.BOTH_BAD):
        fits = strength == 0
    elif tie_kind in (TieKind.CANNOT_JUDGE, TieKind.UNREADABLE):
        fits = strength is None
    else:
        fits = tie_kind == TieKind.NONE and strength in (-3, -2, -1, 1, 2, 3)
    if not fits:
        raise Refused(f"Strength {strength!r} does not fit {tie_kind or 'a preference'!r}.")


def taken_back(pair: Pair, judge: Judge, order_shown: str, occasion: int) -> Judgment | None:
    """The retraction at the end of this judge's chain for this order and occasion, if it ends so."""
    chain = Judgment.objects.filter(pair=pair, judge=judge, order_shown=order_shown, occasion=occasion, retracted=True)
    return chain.filter(~Exists(Judgment.objects.filter(supersedes=OuterRef("pk")))).first()


# Imported judgments: many at once, by COPY. The caller (curation/importers/load.py) holds the transaction and the dataset's lock.

GOLD_JUDGE = "gold"
JudgeKey = tuple[str, str, str]  # kind, name, method
HeldKey = tuple[int, int, str, int]  # pair, judge, order shown, occasion


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One judgment of a file; fields as in models.Judgment, `detail` as JSON text."""

    pair_id: int
    judge_id: int
    strength: int | None
    tie_kind: str
    rationale: str
    order_shown: str
    occasion: int
    raw_output: str
    detail: str


def imported_judges(workspace: Workspace, keys: Collection[JudgeKey]) -> dict[JudgeKey, int]:
    """Ids of the judges that files name, made where they are missing. They have no version: a file does not state one."""
    judges = Judge.objects.filter(workspace=workspace, version="", name__in={name for _, name, _ in keys})
    found = {(judge.kind, judge.name, judge.method): judge.pk for judge in judges}
    missing = sorted(set(keys) - found.keys())
    if not missing:
        return found
    new = [
        Judge(
            workspace=workspace, kind=kind, name=name, method=method, is_gold=(kind, name) == (JudgeKind.IMPORTED, GOLD_JUDGE)
        )
        for kind, name, method in missing
    ]  # fmt: skip
    Judge.objects.bulk_create(new, ignore_conflicts=True)
    return {(judge.kind, judge.name, judge.method): judge.pk for judge in judges.all()}


def held(cursor: Any, pair_ids: Collection[int], judge_ids: Collection[int]) -> dict[HeldKey, tuple[int | None, str, str]]:
    """What these judges first said of these pairs: (strength, id in the source, MD5 of the raw answer where there is no id)."""
    if not pair_ids or not judge_ids:
        return {}
    cursor.execute(
        "SELECT pair_id, judge_id, order_shown, occasion, strength, coalesce(detail->>'id', ''),"
        " CASE WHEN detail ? 'id' THEN '' ELSE md5(raw_output) END FROM curation_judgment"
        " WHERE pair_id = ANY(%s) AND judge_id = ANY(%s) AND supersedes_id IS NULL",
        [list(pair_ids), list(judge_ids)],
    )
    return {row[:4]: row[4:] for row in cursor.fetchall()}


def copy_imported(cursor: Any, dataset: Dataset, import_id: int, rows: Sequence[ImportedRow]) -> int:
    """COPY of judgments that held() does not know. Returns how many. A row that is there after all fails the whole batch."""
    now = timezone.now()
    columns = (
        "dataset_id, pair_id, judge_id, strength, tie_kind, rationale, order_shown, occasion, raw_output, detail, imported_id,"
        " guideline, retracted, created_at"
    )
    with cursor.copy(f"COPY curation_judgment ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row((
                dataset.pk, row.pair_id, row.judge_id, row.strength, row.tie_kind, row.rationale, row.order_shown, row.occasion,
                row.raw_output, row.detail, import_id, "", False, now,
            ))  # fmt: skip
    return len(rows)

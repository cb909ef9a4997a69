"""Keyset lists of pairs and of disagreements, and what each row of a page shows. Read-only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, Exists, F, FloatField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Left, Sign

from curation import decisions, judgments, queries
from curation.models import Action, Consensus, Dataset, Decision, JudgeKind, Judgment, Pair, Pool
from curation.types import STORED_LABEL, Verdict, verdict_of

PAGE_SIZES = (25, 50, 100)
SNIPPET_CHARS = 220
RELATIONS = {
    "contradicts": "contradicts the stored label",
    "agrees": "agrees with the stored label",
    "tie": "says tie",
    "none": "gave no verdict",
    "unreadable": "could not be read",
}
SORTS = {"disagreement": "most disagreement first", "contradicted": "stored label most contradicted first"}


def whole(text: str | None, *, most: int = 2**31) -> int | None:
    """A number from a query string; None for anything else, so that a mangled link shows the unfiltered list."""
    return int(text) if text and text.isascii() and text.isdigit() and int(text) <= most else None


def page_size(params: Mapping[str, str]) -> int:
    size = whole(params.get("size"))
    return size if size in PAGE_SIZES else PAGE_SIZES[0]


def snippet(path: str) -> Left:
    """The first characters of a conversation's last message, cut by the database."""
    return Left(KeyTextTransform("content", KeyTransform("-1", path)), SNIPPET_CHARS)


# Pairs


@dataclass(frozen=True)
class PairFilters:
    """The pair list's filters as its query string holds them; what is not understood is dropped."""

    pool: str = ""
    action: str = ""
    reason: str = ""
    q: str = ""  # how the external id starts
    judge: int | None = None
    relation: str = ""

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "PairFilters":
        relation = params.get("relation", "")
        return cls(
            pool=params.get("pool", "") if params.get("pool") in Pool.values else "",
            action=params.get("action", "") if params.get("action") in Action.values else "",
            reason=params.get("reason", "")[:64].replace("\x00", ""),
            q=params.get("q", "").strip()[:200].replace("\x00", ""),
            judge=whole(params.get("judge")),
            relation=relation if relation in RELATIONS else "",
        )

    @property
    def any(self) -> bool:
        return self != PairFilters()


def judgments_that(dataset: Dataset, *, judge: int | None, relation: str) -> QuerySet[Judgment]:
    """Judgments of an outer pair by this judge (None: by anyone but the stored label) that stand so to its stored label."""
    found = judgments.current(dataset).filter(pair=OuterRef("pk"))
    found = found.filter(judge=judge) if judge else found.exclude(judge__name=STORED_LABEL, judge__kind=JudgeKind.IMPORTED)
    match relation:
        case "contradicts":
            return found.annotate(side=Sign("strength")).filter(strength__isnull=False).exclude(side=OuterRef("stored"))
        case "agrees":
            return found.annotate(side=Sign("strength")).filter(side=OuterRef("stored"))
        case "tie":
            return found.filter(strength=0)
        case "none":
            return found.filter(strength__isnull=True)
        case "unreadable":
            return found.filter(tie_kind="unreadable")
    return found


def pairs_that(dataset: Dataset, filters: PairFilters) -> QuerySet[Pair]:
    """The dataset's pairs that pass the filters, in no order."""
    found = Pair.objects.filter(dataset=dataset)
    if filters.pool:
        found = found.filter(pool=filters.pool)
    if filters.q:
        found = found.filter(external_id__startswith=filters.q)
    if filters.action or filters.reason:
        latest = Decision.objects.filter(pair=OuterRef("pk")).order_by("-id")
        found = found.annotate(
            last_action=Subquery(latest.values("action")[:1]), last_reason=Subquery(latest.values("reason")[:1])
        )
        found = found.filter(**({"last_action": filters.action} if filters.action else {}))
        found = found.filter(**({"last_reason": filters.reason} if filters.reason else {}))
    if filters.judge or filters.relation:
        if filters.relation in ("contradicts", "agrees"):
            found = found.annotate(stored=judgments.stored_side(dataset)).filter(stored__isnull=False)
        found = found.filter(Exists(judgments_that(dataset, judge=filters.judge, relation=filters.relation)))
    return found


@dataclass(frozen=True)
class Page:
    """Rows of one page, and the keys of the pages around it; None where there is none."""

    rows: list[Any]
    after: str | None = None
    before: str | None = None


def pairs_page(dataset: Dataset, filters: PairFilters, *, after: int | None, before: int | None, size: int) -> Page:
    """One page by ascending id, after or before a key. Two statements for the keys, whatever the size of the dataset."""
    found = pairs_that(dataset, filters)
    if before is not None:
        ids = list(found.filter(pk__lt=before).order_by("-pk").values_list("pk", flat=True)[: size + 1])
        more_before, ids = len(ids) > size, ids[:size][::-1]
        more_after = True
    else:
        ids = list(found.filter(pk__gt=after or 0).order_by("pk").values_list("pk", flat=True)[: size + 1])
        more_after, ids = len(ids) > size, ids[:size]
        more_before = bool(after)
    shown = pair_rows(dataset, ids)
    return Page(shown, str(ids[-1]) if more_after and ids else None, str(ids[0]) if more_before and ids else None)


def neighbours(dataset: Dataset, filters: PairFilters, pair: Pair) -> tuple[int | None, int | None]:
    """Ids of the pairs before and after this one in the list with these filters."""
    found = pairs_that(dataset, filters)
    before = found.filter(pk__lt=pair.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = found.filter(pk__gt=pair.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after


@dataclass
class PairRow:
    """What a list shows of a pair."""

    pair: Pair
    stored: int | None = None
    decision: Decision | None = None
    consensus: Consensus | None = None
    votes: list["VoteCount"] = field(default_factory=list)
    n_human: int = 0

    @property
    def contradicted(self) -> bool:
        return self.stored is not None and self.consensus is not None and self.consensus.verdict != verdict_of(self.stored)


def pair_rows(dataset: Dataset, ids: list[int], *, method: str = "") -> list[PairRow]:
    """The rows of these pairs in this order, in five statements."""
    pairs = Pair.objects.filter(dataset=dataset, pk__in=ids).annotate(text=snippet("prompt__messages")).defer("metadata")
    found = {pair.pk: PairRow(pair) for pair in pairs}
    for vote in votes_of(dataset, ids):
        row = found[vote.pair]
        if vote.kind == JudgeKind.HUMAN:
            row.n_human += vote.n
        if vote.stored:
            row.stored = vote.side
        else:
            row.votes.append(vote)
    for pair, decision in decisions.latest_decisions(ids).items():
        found[pair].decision = decision
    computed = Consensus.objects.filter(dataset=dataset, pair__in=ids).order_by("-method")  # the last one set wins: dawid_skene
    for consensus in computed.filter(method=method) if method else computed:
        found[consensus.pair_id].consensus = consensus
    return [found[pk] for pk in ids if pk in found]


@dataclass(frozen=True)
class VoteCount:
    """Judgments of one kind with one verdict on one pair."""

    pair: int
    kind: str
    side: int | None  # -1: A, 0: tie, 1: B, None: no verdict
    n: int
    stored: bool

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.side)


def votes_of(dataset: Dataset, ids: list[int]) -> list[VoteCount]:
    """Opinions in force on these pairs by kind and verdict, the stored label's apart; scores of reward models count too."""
    stored = Case(When(judge__kind=JudgeKind.IMPORTED, judge__name=STORED_LABEL, then=Value(1)), default=Value(0))
    told = judgments.current(dataset).filter(pair__in=ids).annotate(side=Sign("strength"), is_stored=stored)
    counted = (
        told.values_list("pair", "judge__kind", "side", "is_stored")
        .annotate(n=Count("id"))
        .order_by("pair", "judge__kind", "side")
    )
    votes = [VoteCount(pair, kind, side, n, bool(is_stored)) for pair, kind, side, is_stored, n in counted]
    scored = queries.scored_votes(dataset, ids)
    return votes + [VoteCount(row["pair_id"], row["kind"], row["side"], row["n"], stored=False) for row in scored]


def reasons(dataset: Dataset) -> list[tuple[str, str]]:
    """The (action, reason) pairs that decisions of this dataset have, for the filter's choices; by a walk over the index."""
    distinct = Decision.objects.filter(dataset=dataset).values_list("action", "reason").distinct().order_by("action", "reason")
    return list(distinct[:100])


# Disagreement


@dataclass(frozen=True)
class DisagreementFilters:
    """The disagreement list's filters as its query string holds them."""

    sort: str = "disagreement"
    pool: str = ""
    least: int = 0  # judgments on the pair
    people: bool = False  # only pairs that people judged

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "DisagreementFilters":
        return cls(
            sort=params.get("sort", "") if params.get("sort") in SORTS else "disagreement",
            pool=params.get("pool", "") if params.get("pool") in Pool.values else "",
            least=whole(params.get("least")) or 0,
            people=params.get("people") == "1",
        )


def disagreements_that(dataset: Dataset, method: str, filters: DisagreementFilters) -> QuerySet[Consensus]:
    """Consensus rows that pass the filters, with `value`, what the list is sorted by."""
    found = Consensus.objects.filter(dataset=dataset, method=method)
    if filters.pool:
        found = found.filter(pair__pool=filters.pool)
    if filters.least:
        found = found.filter(n_judgments__gte=filters.least)
    if filters.people:
        found = found.filter(Exists(judgments.current(dataset).filter(pair=OuterRef("pair"), judge__kind=JudgeKind.HUMAN)))
    if filters.sort == "disagreement":
        return found.annotate(value=F("disagreement"))
    # How probable it is that the stored label points the wrong way; a stored tie points nowhere.
    opposite = Case(When(stored=-1, then=F("probability_b")), When(stored=1, then=F("probability_a")), output_field=FloatField())
    return found.annotate(stored=judgments.stored_side(dataset, pair="pair")).annotate(value=opposite).filter(value__isnull=False)


def key_text(consensus: Consensus) -> str:
    """A row's place in the list, exact: "0.918295834054:7712"; repr of a float reads back as the same float."""
    return f"{consensus.value!r}:{consensus.pair_id}"


def key_of_text(text: str | None) -> tuple[float, int] | None:
    """The key in a query string; None where there is none or it is mangled."""
    value, colon, pair = (text or "").partition(":")
    number = whole(pair)
    try:
        place = float(value)
    except ValueError:
        return None
    return (place, number) if colon and number is not None and math.isfinite(place) else None


def disagreements_page(
    dataset: Dataset, method: str, filters: DisagreementFilters, *, after: str | None, before: str | None, size: int
) -> Page:
    """One page by descending value, then ascending pair id, after or before a key of key_text()."""
    found = disagreements_that(dataset, method, filters)
    start, end = key_of_text(after), key_of_text(before)
    if end is not None:
        earlier = found.filter(Q(value__gt=end[0]) | Q(value=end[0], pair__lt=end[1])).order_by("value", "-pair")
        taken = list(earlier[: size + 1])
        more_before, more_after, taken = len(taken) > size, True, taken[:size][::-1]
    else:
        if start is not None:
            found = found.filter(Q(value__lt=start[0]) | Q(value=start[0], pair__gt=start[1]))
        taken = list(found.order_by("-value", "pair")[: size + 1])
        more_before, more_after, taken = start is not None, len(taken) > size, taken[:size]
    shown = pair_rows(dataset, [consensus.pair_id for consensus in taken], method=method)
    return Page(
        shown, key_text(taken[-1]) if more_after and taken else None, key_text(taken[0]) if more_before and taken else None
    )

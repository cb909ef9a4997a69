"""Which pairs a release takes, and what it says about each: read-only, one statement for the preview, the cut and the check.

Everything is read up to a watermark of decisions, so that what a release saw can be seen again later.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection

from curation import exporters
from curation.card import CAUSES
from curation.exporters import ReleasedRow
from curation.models import Dataset, Pool

TIE_POLICIES = {
    "drop": "leave ties out",
    "both_orders": "two rows per tie, each response chosen once, margin 0",
    "zero_margin": "one row per tie, the side called chosen drawn from the content, margin 0",
}
RELEASABLE = (Pool.GOLD, Pool.SILVER, Pool.RECYCLED)
ROWS_PER_FETCH = 500

# The label in force is that of the pair's latest decision. A cause is named in the order in which it would stop the pair.
CLASSIFIED = """
    WITH latest AS (
        SELECT DISTINCT ON (pair_id) pair_id, id, pool_after, strength, action, reason
        FROM curation_decision WHERE dataset_id = %(dataset)s AND id <= %(watermark)s ORDER BY pair_id, id DESC
    ), classified AS (
        SELECT pair.id, pair.prompt_id, pair.external_id, pair.response_a_id, pair.response_b_id, latest.id AS decision,
               latest.pool_after, latest.strength, latest.action, latest.reason, pair.pool,
               CASE WHEN latest.id IS NULL THEN 'undecided'
                    WHEN NOT latest.pool_after = ANY(%(pools)s) THEN 'pool'
                    WHEN latest.strength IS NULL THEN 'no_label'
                    WHEN pair.response_a_id = pair.response_b_id THEN 'identical'
                    WHEN latest.strength = 0 AND %(drop_ties)s THEN 'tie'
                    WHEN latest.strength <> 0 AND abs(latest.strength) < %(min_margin)s THEN 'below_min_margin'
                    ELSE 'released' END AS fate
        FROM curation_pair pair LEFT JOIN latest ON latest.pair_id = pair.id
        WHERE pair.dataset_id = %(dataset)s
    )
"""
# Names and texts in both are constants of this module; values are bound.
COUNTED = CLASSIFIED + (  # noqa: S608
    "SELECT fate, coalesce(pool_after, pool), coalesce(action, ''), coalesce(reason, ''), coalesce(strength = 0, false), count(*)"
    " FROM classified GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
)
STREAMED = CLASSIFIED + (  # noqa: S608
    "SELECT c.id, c.external_id, c.decision, c.pool_after, c.strength, c.action, c.reason, prompt.content_hash,"
    " prompt.messages, a.content_hash, a.messages, b.content_hash, b.messages"
    " FROM classified c JOIN curation_prompt prompt ON prompt.id = c.prompt_id"
    " JOIN curation_response a ON a.id = c.response_a_id JOIN curation_response b ON b.id = c.response_b_id"
    " WHERE c.fate = 'released' ORDER BY c.id"
)


class ReleaseError(Exception):
    """This release cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class CutSettings:
    """What a release takes. min_margin: least |strength| of a label that is not a tie. test_share: share of prompts in `test`."""

    pools: tuple[str, ...] = ("gold", "silver")
    tie_policy: str = "drop"
    min_margin: float = 0.0
    test_share: float = 0.0

    def __post_init__(self) -> None:
        if not self.pools or not set(self.pools) <= {pool.value for pool in RELEASABLE}:
            known = ", ".join(pool.value for pool in RELEASABLE)
            raise ReleaseError(f"A release takes pairs of the pools {known}; asked for: {', '.join(self.pools) or 'none'}.")
        if self.tie_policy not in TIE_POLICIES:
            raise ReleaseError(f"There is no tie policy {self.tie_policy!r}. Choose one of: {', '.join(TIE_POLICIES)}.")
        if not 0 <= self.min_margin <= 3:
            raise ReleaseError("The least margin lies between 0 and 3, the strongest label.")
        if not 0 <= self.test_share <= 0.5:
            raise ReleaseError("The share of prompts held out for testing lies between 0 and 0.5.")
        # The order of the pools decides nothing, so it must not look like a difference.
        object.__setattr__(self, "pools", tuple(sorted(set(self.pools))))

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "CutSettings":
        return cls(**{**stored, "pools": tuple(stored["pools"])})

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "pools": list(self.pools)}


@dataclass(frozen=True)
class CutRow:
    """One row on its way into a release. row None: its messages are not plain text, so it is left out."""

    pair_id: int
    decision_id: int
    pool: str
    chosen: str
    row: ReleasedRow | None


@dataclass(frozen=True)
class Preview:
    """What a cut would take and leave, counted in pairs."""

    n_pairs: int
    n_released: int
    n_ties: int  # among those released
    released: list[tuple[str, str, str, int]] = field(default_factory=list)  # pool, action, reason, pairs
    left_out: list[tuple[str, str, int]] = field(default_factory=list)  # cause, pool, pairs

    @property
    def causes(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for cause, _, n in self.left_out:
            counts[cause] += n
        return {cause: counts[cause] for cause in CAUSES if counts[cause]}


def _parameters(dataset: Dataset, settings: CutSettings, watermark: int) -> dict[str, Any]:
    return {
        "dataset": dataset.pk,
        "watermark": watermark,
        "pools": list(settings.pools),
        "drop_ties": settings.tie_policy == "drop",
        "min_margin": settings.min_margin,
    }


def preview(dataset: Dataset, settings: CutSettings, *, watermark: int = 2**62) -> Preview:
    """Counts by pool, action and reason, and of what is left out and why. One pass over decisions and pairs, no texts."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, _parameters(dataset, settings, watermark))
        counted = cursor.fetchall()
    released: Counter[tuple[str, str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    n_ties = 0
    for fate, pool, action, reason, tie, n in counted:
        if fate == "released":
            released[pool, action, reason] += n
            n_ties += n if tie else 0
        else:
            left_out[fate, pool] += n
    return Preview(
        n_pairs=sum(row[-1] for row in counted),
        n_released=released.total(),
        n_ties=n_ties,
        released=[(*key, n) for key, n in released.most_common()],
        left_out=[(*key, n) for key, n in left_out.most_common()],
    )


def stream(dataset: Dataset, settings: CutSettings, *, watermark: int) -> Iterator[CutRow]:
    """The rows in the order of pair ids, read through a server-side cursor. Call inside a transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(STREAMED, _parameters(dataset, settings, watermark))
        while found := cursor.fetchmany(ROWS_PER_FETCH):
            for row in found:
                yield from _cut_rows(row, settings)


def _cut_rows(row: Sequence[Any], settings: CutSettings) -> Iterator[CutRow]:
    pair, external_id, decision, pool, strength, action, reason, prompt_hash, prompt, hash_a, a, hash_b, b = row
    texts = [exporters.text_messages(json.loads(value)) for value in (prompt, a, b)]
    for chosen in _sides(strength, bytes(hash_a), bytes(hash_b), settings.tie_policy):
        if None in texts:
            yield CutRow(pair, decision, pool, chosen, None)
            continue
        winner, loser = (texts[1], texts[2]) if chosen == "a" else (texts[2], texts[1])
        released = ReleasedRow(
            id=external_id,
            prompt=texts[0] or [],
            chosen=winner or [],
            rejected=loser or [],
            margin=abs(strength),
            split=exporters.split_of(bytes(prompt_hash), settings.test_share),
            pool=pool,
            label_source="people" if pool == Pool.GOLD else "models",
            action=action,
            reason=reason,
            strength=strength + 0.0,  # -0.0 and 0.0 are the same label and must hash alike
            decision=decision,
        )
        yield CutRow(pair, decision, pool, chosen, released)


def _sides(strength: float, hash_a: bytes, hash_b: bytes, tie_policy: str) -> tuple[str, ...]:
    if strength:
        return ("a",) if strength < 0 else ("b",)
    return ("a", "b") if tie_policy == "both_orders" else (exporters.tie_side(hash_a, hash_b),)

"""What the pages count and list about a dataset: read-only, grouped SQL over indexed keys, never over texts."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.core.cache import cache
from django.db.models import Count
from django.utils import timezone

from curation.consensus import METHODS
from curation.models import Consensus, Dataset, Pair, Pool, User
from curation.sql import IN_FORCE, rows
from curation.types import STORED_LABEL

Found = TypeVar("Found")

# Judgments that count.
LIVE = f"""
    SELECT judgment.id, judgment.judge_id, judgment.pair_id, judgment.order_shown, judgment.occasion,
           sign(judgment.strength)::int AS side, judgment.tie_kind
    FROM curation_judgment judgment
    WHERE judgment.dataset_id = %(dataset)s AND {IN_FORCE}
"""  # noqa: S608 - put together from constants, as are all statements here
# What reward models say of a pair, by the response they score higher: the newest version of each, unless it wrote a judgment too.
SCORED = """
    SELECT scored.pair_id, scored.judge_id, scored.side FROM (
        SELECT pair.id AS pair_id, of_a.judge_id, sign(of_b.value - of_a.value)::int AS side,
               row_number() OVER (PARTITION BY pair.id, judge.kind, judge.name, judge.method ORDER BY judge.id DESC) AS age
        FROM curation_pair pair
        JOIN curation_reward of_a ON of_a.response_id = pair.response_a_id
        JOIN curation_reward of_b ON of_b.response_id = pair.response_b_id AND of_b.judge_id = of_a.judge_id
        JOIN curation_judge judge ON judge.id = of_a.judge_id
        WHERE pair.dataset_id = %(dataset)s AND (%(pairs)s::bigint[] IS NULL OR pair.id = ANY(%(pairs)s))
    ) scored
    WHERE age = 1
      AND NOT EXISTS (SELECT 1 FROM curation_judgment told
                      WHERE told.pair_id = scored.pair_id AND told.judge_id = scored.judge_id)
"""
# As Consensus.verdict.
CONSENSUS_SIDE = """
    SELECT pair_id, CASE WHEN probability_a > greatest(probability_tie, probability_b) THEN -1
                         WHEN probability_b > greatest(probability_tie, probability_a) THEN 1 ELSE 0 END AS side
    FROM curation_consensus WHERE dataset_id = %(dataset)s AND method = %(method)s
"""


@dataclass(frozen=True)
class Counted:
    """A figure that costs something to count, and when it was counted."""

    value: Any
    at: datetime
    fresh: bool


def bounded(key: str, count: Callable[[], Any], *, free_seconds: float = 0.1) -> Counted:
    """`count()`, kept for 30 times as long as it took when that is more than `free_seconds`, at most ten minutes.

    Small datasets are therefore always counted anew, and large ones never spend more than a thirtieth of the server on it.
    """
    stored = cache.get(key)
    if stored is not None:
        return Counted(stored[0], stored[1], fresh=False)
    started = time.perf_counter()
    value, at = count(), timezone.now()
    seconds = time.perf_counter() - started
    if seconds > free_seconds:
        cache.set(key, (value, at), timeout=min(30 * seconds, 600))
    return Counted(value, at, fresh=True)


def share(part: int | None, whole: int | None) -> float | None:
    """part / whole, None where there is nothing to divide by."""
    return part / whole if part is not None and whole else None


@dataclass(frozen=True)
class PoolCount:
    pool: str
    label: str
    n: int
    share: float  # of all pairs


def funnel(dataset: Dataset) -> list[PoolCount]:
    """Pairs per pool in the order of a pair's life, pools without pairs included."""
    counts = dict(Pair.objects.filter(dataset=dataset).values_list("pool").annotate(n=Count("id")))
    total = sum(counts.values())
    return [
        PoolCount(pool.value, pool.label, counts.get(pool.value, 0), share(counts.get(pool.value, 0), total) or 0.0)
        for pool in Pool
    ]


def consensus_methods(dataset: Dataset) -> list[str]:
    """The methods by which a consensus was computed here, the one to show first."""
    return [name for name in METHODS if Consensus.objects.filter(dataset=dataset, method=name).exists()]


def judges_table(dataset: Dataset, *, method: str) -> list[dict[str, Any]]:
    """One row per judge with judgments or scores here, people first, then the busiest.

    Shares are of what could be compared: `gold_share` and `consensus_share` of the judgments with a verdict on pairs that have
    gold, or a consensus; `both_orders_share` of the pairs asked in both orders that got one and the same verdict.
    """
    found = rows(
        f"""
        WITH live AS (
            SELECT judge_id, pair_id, order_shown, occasion, side, tie_kind FROM ({LIVE}) judged
            UNION ALL SELECT judge_id, pair_id, '', 0, side, '' FROM ({SCORED}) scored
        ), consensus AS ({CONSENSUS_SIDE}),
        gold AS (
            SELECT live.pair_id, sign(avg(live.side))::int AS side FROM live JOIN curation_judge judge ON judge.id = live.judge_id
            WHERE judge.is_gold AND live.side IS NOT NULL GROUP BY live.pair_id
        ), asked AS (
            SELECT live.judge_id, live.pair_id, live.occasion, count(*) AS n, count(live.side) AS n_verdicts,
                   count(*) FILTER (WHERE live.tie_kind = 'unreadable') AS unreadable,
                   count(live.side) FILTER (WHERE gold.side IS NOT NULL) AS on_gold,
                   count(*) FILTER (WHERE live.side = gold.side) AS as_gold,
                   count(live.side) FILTER (WHERE consensus.side IS NOT NULL) AS on_consensus,
                   count(*) FILTER (WHERE live.side = consensus.side) AS as_consensus,
                   bool_or(live.order_shown = 'ab') AND bool_or(live.order_shown = 'ba') AS both_asked,
                   min(live.side) FILTER (WHERE live.order_shown = 'ab')
                   = min(live.side) FILTER (WHERE live.order_shown = 'ba') AS same
            FROM live LEFT JOIN gold USING (pair_id) LEFT JOIN consensus USING (pair_id)
            GROUP BY live.judge_id, live.pair_id, live.occasion
        )
        SELECT judge.id, judge.kind, judge.name, judge.method, judge.version, judge.is_gold, sum(n)::bigint AS n,
               sum(n_verdicts)::bigint AS n_verdicts, sum(unreadable)::bigint AS unreadable,
               sum(on_gold)::bigint AS on_gold, sum(as_gold)::bigint AS as_gold,
               sum(on_consensus)::bigint AS on_consensus, sum(as_consensus)::bigint AS as_consensus,
               count(*) FILTER (WHERE both_asked) AS both_orders, count(*) FILTER (WHERE both_asked AND same) AS same_verdict
        FROM asked JOIN curation_judge judge ON judge.id = asked.judge_id
        GROUP BY judge.id ORDER BY judge.kind <> 'human', judge.kind = 'imported', n DESC, judge.name, judge.id
        LIMIT 200
        """,  # noqa: S608 - the parts put together are constants of this module
        dataset=dataset.pk,
        method=method,
        pairs=None,
    )
    for row in found:
        row["gold_share"] = None if row["is_gold"] else share(row["as_gold"], row["on_gold"])
        row["consensus_share"] = share(row["as_consensus"], row["on_consensus"])
        row["both_orders_share"] = share(row["same_verdict"], row["both_orders"])
    return found


def scored_votes(dataset: Dataset, ids: list[int]) -> list[dict[str, Any]]:
    """What reward models say of these pairs: `pair_id, kind, side, n`."""
    return rows(
        f"""
        SELECT scored.pair_id, judge.kind, scored.side, count(*) AS n
        FROM ({SCORED}) scored JOIN curation_judge judge ON judge.id = scored.judge_id
        GROUP BY scored.pair_id, judge.kind, scored.side ORDER BY 1, 2, 3
        """,  # noqa: S608
        dataset=dataset.pk,
        pairs=ids,
    )


def labels_overview(dataset: Dataset, *, method: str) -> dict[str, Any]:
    """Human judgments and the pairs they are on; stored labels, and how many of them the consensus contradicts."""
    found = rows(
        f"""
        WITH live AS ({LIVE}), consensus AS ({CONSENSUS_SIDE}), said AS (
            SELECT live.pair_id, live.side, consensus.side AS consensus_side, judge.kind, judge.is_gold,
                   judge.kind = 'imported' AND judge.name = %(stored)s AS is_stored
            FROM live JOIN curation_judge judge ON judge.id = live.judge_id LEFT JOIN consensus USING (pair_id)
        )
        SELECT count(*) FILTER (WHERE kind = 'human') AS human_judgments,
               count(DISTINCT pair_id) FILTER (WHERE kind = 'human') AS human_pairs,
               count(*) FILTER (WHERE is_stored) AS stored,
               count(consensus_side) FILTER (WHERE is_stored AND side IS NOT NULL) AS compared,
               count(*) FILTER (WHERE is_stored AND side <> consensus_side) AS contradicted,
               count(*) FILTER (WHERE is_gold) AS gold
        FROM said
        """,  # noqa: S608
        dataset=dataset.pk,
        method=method,
        stored=STORED_LABEL,
    )[0]
    return {**found, "contradicted_share": share(found["contradicted"], found["compared"])}


# One row per item of the open batches: how many people judged its pair since the batch was opened, and whether this one did.
OPEN_ITEMS = f"""
    SELECT batch.id AS batch_id, batch.dataset_id, batch.overlap, item.pair_id,
           count(DISTINCT judge.id) AS given, coalesce(bool_or(judge.user_id = %(user)s), false) AS mine
    FROM curation_reviewbatch batch
    JOIN curation_reviewitem item ON item.batch_id = batch.id
    LEFT JOIN curation_judgment judgment ON judgment.pair_id = item.pair_id
         AND judgment.created_at >= batch.created_at AND {IN_FORCE}
    LEFT JOIN curation_judge judge ON judge.id = judgment.judge_id AND judge.kind = 'human' AND judge.user_id IS NOT NULL
    WHERE batch.closed_at IS NULL AND batch.dataset_id = ANY(%(datasets)s)
    GROUP BY batch.id, item.id
"""  # noqa: S608


def work_for(user: User, datasets: Iterable[Dataset]) -> dict[int, int]:
    """Pairs that still want a judgment of this person, by dataset id; datasets without any are left out."""
    found = rows(
        f"""
        SELECT dataset_id, count(DISTINCT pair_id) AS n FROM ({OPEN_ITEMS}) item
        WHERE given < overlap AND NOT mine GROUP BY dataset_id
        """,  # noqa: S608
        user=user.pk,
        datasets=[dataset.pk for dataset in datasets],
    )
    return {row["dataset_id"]: row["n"] for row in found}


def open_batches(dataset: Dataset) -> list[dict[str, Any]]:
    """The review batches people still work on, oldest first, with judgments given and wanted."""
    return rows(
        f"""
        SELECT batch.id, batch.title, batch.policy, batch.overlap, batch.run_id, batch.created_at, count(*) AS n_pairs,
               sum(least(given, item.overlap))::bigint AS answered, sum(item.overlap)::bigint AS wanted
        FROM ({OPEN_ITEMS}) item JOIN curation_reviewbatch batch ON batch.id = item.batch_id
        GROUP BY batch.id ORDER BY batch.id LIMIT 20
        """,  # noqa: S608
        user=None,
        datasets=[dataset.pk],
    )


def pool_counts(datasets: Iterable[Dataset]) -> dict[int, dict[str, int]]:
    """Pairs per pool for many datasets at once, by dataset id."""
    found: dict[int, dict[str, int]] = {}
    counted = Pair.objects.filter(dataset__in=list(datasets)).values_list("dataset_id", "pool").annotate(n=Count("id"))
    for dataset_id, pool, n in counted:
        found.setdefault(dataset_id, {})[pool] = n
    return found

"""How often each judge is right, and how often it sticks to its verdict when the responses change places. One grouped query."""

from typing import Any

from curation.models import Dataset
from curation.sql import IN_FORCE, rows

NO_SLICE = "all"

# `asked` has one row per judge, pair and occasion: one sample of a model, one sitting of a person.
REPORT = f"""
    WITH live AS (
        SELECT judgment.pair_id, judgment.judge_id, judgment.order_shown, judgment.occasion, judgment.tie_kind,
               sign(judgment.strength)::int AS side
        FROM curation_judgment judgment
        WHERE judgment.dataset_id = %(dataset)s AND {IN_FORCE}
    ), gold AS (
        SELECT live.pair_id, sign(avg(live.side))::int AS side
        FROM live JOIN curation_judge judge ON judge.id = live.judge_id
        WHERE judge.is_gold AND live.side IS NOT NULL GROUP BY live.pair_id
    ), asked AS (
        SELECT live.judge_id, live.pair_id, live.occasion, count(*) FILTER (WHERE live.tie_kind = 'unreadable') AS unreadable,
               min(live.side) FILTER (WHERE live.order_shown = 'ab') AS ab, bool_or(live.order_shown = 'ab') AS has_ab,
               min(live.side) FILTER (WHERE live.order_shown = 'ba') AS ba, bool_or(live.order_shown = 'ba') AS has_ba,
               min(live.side) FILTER (WHERE live.order_shown = '') AS plain, bool_or(live.order_shown = '') AS has_plain
        FROM live GROUP BY live.judge_id, live.pair_id, live.occasion
    )
    SELECT judge.name AS judge_model, judge.method, judge.kind,
           CASE WHEN %(by)s = '' THEN %(all)s
                ELSE coalesce(pair.metadata #>> string_to_array(%(by)s, '.'), '(none)') END AS slice,
           count(gold.side) AS n, count(*) AS n_asked,
           count(*) FILTER (WHERE ab = gold.side) AS correct_ab, count(*) FILTER (WHERE ba = gold.side) AS correct_ba,
           count(*) FILTER (WHERE ab = gold.side AND ba = gold.side) AS correct_both,
           count(*) FILTER (WHERE plain = gold.side) AS correct_no_order,
           count(*) FILTER (WHERE has_ab AND has_ba AND ab IS NOT DISTINCT FROM ba) AS same_verdict,
           sum(unreadable)::bigint AS unreadable,
           bool_or(has_ab) AS has_ab, bool_or(has_ba) AS has_ba, bool_or(has_plain) AS has_plain
    FROM asked
    JOIN curation_judge judge ON judge.id = asked.judge_id
    JOIN curation_pair pair ON pair.id = asked.pair_id
    LEFT JOIN gold ON gold.pair_id = asked.pair_id
    WHERE NOT judge.is_gold
    GROUP BY judge.id, slice
    ORDER BY judge.kind = 'human', judge.kind = 'imported', judge.name, judge.method, judge.id, slice
"""  # noqa: S608 - put together from constants


def report(dataset: Dataset, *, by: str = "") -> list[dict[str, Any]]:
    """One row per judge and slice. by: the metadata field whose values are the slices ("a.b" for a field in a field).

    n: pairs with gold. correct_ab, correct_ba, correct_both: right when response_a was shown first, when response_b was, and
    both times; correct_no_order: right where the order is not known. same_verdict: pairs with one verdict in both orders, where
    two unreadable answers count as the same, as in LLMBar's published figures. Counts of an order in which a judge was never
    asked are None. `note` says what is missing.
    """
    return [_row(found) for found in rows(REPORT, dataset=dataset.pk, by=by, all=NO_SLICE)]


def _row(found: dict[str, Any]) -> dict[str, Any]:
    has_ab, has_ba, has_plain = (found.pop(name) for name in ("has_ab", "has_ba", "has_plain"))
    asked = {"correct_ab": has_ab, "correct_ba": has_ba, "correct_no_order": has_plain}
    asked |= dict.fromkeys(("correct_both", "same_verdict"), has_ab and has_ba)
    row = {name: value if asked.get(name, True) else None for name, value in found.items()}
    return row if found["n"] else {**row, "note": "no pair of this slice has gold, so there is nothing to be right about"}

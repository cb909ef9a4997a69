"""How far people agree on a dataset, for its page: curation/agreement.py on as many pairs as a page may wait for."""

from dataclasses import dataclass

import numpy as np

from curation import agreement, queries
from curation.models import Dataset

MOST_PAIRS = 5000  # the newest ones that two people judged; figures over more hardly move

SHARED = f"""
    WITH told AS (
        SELECT live.pair_id, live.judge_id, min(live.side) AS side
        FROM ({queries.LIVE}) live JOIN curation_judge judge ON judge.id = live.judge_id
        WHERE judge.kind = 'human' AND live.side IS NOT NULL GROUP BY live.pair_id, live.judge_id
    ), shared AS (
        SELECT pair_id FROM told GROUP BY pair_id HAVING count(*) > 1 ORDER BY pair_id DESC LIMIT %(most)s
    )
    SELECT told.pair_id, told.judge_id, told.side FROM told JOIN shared USING (pair_id) ORDER BY told.pair_id, told.judge_id
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True)
class PeopleAgreement:
    """words: why there are no figures, "" where there are. unanimous: share of the pairs on which all gave one verdict."""

    words: str
    alpha: float | None = None
    alpha_words: str = ""
    unanimous: float | None = None
    n_pairs: int = 0
    n_people: int = 0
    cut: bool = False


def of_people(dataset: Dataset) -> PeopleAgreement:
    """Krippendorff's alpha over a, tie, b, and the share of unanimous pairs, on the pairs that two or more people judged."""
    told = queries.rows(SHARED, dataset=dataset.pk, most=MOST_PAIRS)
    if not told:
        return PeopleAgreement("No pair was judged by two people yet, so their agreement cannot be measured.")
    pairs = {pair: place for place, pair in enumerate(dict.fromkeys(row["pair_id"] for row in told))}
    places = np.array([pairs[row["pair_id"]] for row in told])
    counts = agreement.label_counts(places, np.array([row["side"] for row in told]), (-1, 0, 1), n_pairs=len(pairs))
    alpha = agreement.krippendorff_alpha(counts, (-1, 0, 1))
    unanimous = float(((counts > 0).sum(axis=1) == 1).mean())
    n_people = len({row["judge_id"] for row in told})
    return PeopleAgreement("", alpha.value, alpha.reason, unanimous, len(pairs), n_people, cut=len(pairs) == MOST_PAIRS)

"""How far people agree on a dataset, for its page: agreement_report.py's labels of as many pairs as a page may wait for."""

from dataclasses import dataclass

import numpy as np

from curation import agreement
from curation.agreement_report import SIDES, human_labels
from curation.models import Dataset

MOST_PAIRS = 5000  # the newest ones that two people judged; figures over more hardly move


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
    labels = human_labels(dataset, most_shared=MOST_PAIRS)
    if not labels.n_pairs:
        return PeopleAgreement("No pair was judged by two people yet, so their agreement cannot be measured.")
    counts = agreement.label_counts(labels.pair, np.sign(labels.strength), SIDES, n_pairs=labels.n_pairs)
    alpha = agreement.krippendorff_alpha(counts, SIDES)
    unanimous = float(((counts > 0).sum(axis=1) == 1).mean())
    n_people = len(np.unique(labels.judge))
    return PeopleAgreement("", alpha.value, alpha.reason, unanimous, labels.n_pairs, n_people, cut=labels.n_pairs == MOST_PAIRS)

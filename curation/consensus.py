"""The only writer of Consensus rows. They are derived: a rebuild reads the ledger anew and needs nothing else.

Who votes: every judge with a judgment in force that has a verdict, the stored label among them; reward models without judgments
by which response they score higher. Of several versions of one model the newest to judge a pair votes on it. Gold stays out
unless it is asked for, so that it can still measure the result.

People of this app come first: where more of them say one thing than any other, that is the truth that the other judges' errors
are learned from, and the pair's probabilities are the shares of the people's votes alone. Annotator columns of imported files
are judges like any other, because nobody here knows how they were made.
"""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from curation import aggregation
from curation.models import Consensus, Dataset, Judge
from curation.sql import IN_FORCE
from curation.types import MODEL_KINDS

METHODS = ("dawid_skene", "majority")
BATCH = 2000
FETCH = 20_000

# Judgments in force with a verdict.
JUDGED = f"""
    SELECT judgment.pair_id, judgment.judge_id, judgment.strength
    FROM curation_judgment judgment
    WHERE judgment.dataset_id = %(dataset)s AND judgment.strength IS NOT NULL AND {IN_FORCE}
"""  # noqa: S608 - put together from constants
# Pairs with both responses scored: 1 where response_b has the higher reward.
SCORED = """
    SELECT pair.id, of_a.judge_id, sign(of_b.value - of_a.value)
    FROM curation_pair pair
    JOIN curation_reward of_a ON of_a.response_id = pair.response_a_id
    JOIN curation_reward of_b ON of_b.response_id = pair.response_b_id AND of_b.judge_id = of_a.judge_id
    WHERE pair.dataset_id = %(dataset)s
"""


@dataclass(frozen=True)
class Ledger:
    """Votes of one dataset in arrays of the same length, and what the numbers in them stand for."""

    pair: NDArray[np.int32]  # place in pair_ids
    judge: NDArray[np.int32]  # place in judge_ids
    strength: NDArray[np.float32]
    pair_ids: NDArray[np.int64]
    judge_ids: NDArray[np.int64]
    of_app: frozenset[int]  # places of the judges that are people of this app
    gold: frozenset[int]  # places of the gold judges

    @property
    def verdict(self) -> NDArray[np.int8]:
        return (np.sign(self.strength) + 1).astype(np.int8)

    def votes(self, rows: NDArray[np.bool_]) -> aggregation.Votes:
        sizes = {"n_pairs": len(self.pair_ids), "n_judges": len(self.judge_ids)}
        return aggregation.merge(self.pair[rows], self.judge[rows], self.verdict[rows], **sizes)


def rebuild(dataset: Dataset, *, method: str = "dawid_skene", use_gold: bool = False) -> int:
    """Compute the consensus of every pair with votes, and remove that of pairs without. Returns how many pairs have one.

    use_gold: gold labels are the truth of their pairs and of the judges' errors. Raises ValueError on an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"There is no consensus method {method!r}; there are: {', '.join(METHODS)}.")
    started = timezone.now()
    ledger = read_ledger(dataset)
    n_written = 0
    for batch in _batches(_rows(dataset, ledger, method=method, use_gold=use_gold)):
        _upsert(batch)
        n_written += len(batch)
    Consensus.objects.filter(dataset=dataset, method=method, computed_at__lt=started).delete()
    return n_written


def read_ledger(dataset: Dataset) -> Ledger:
    """All votes of a dataset, 20 bytes each while they are read; no text is touched."""
    judged, scored = _columns(JUDGED, dataset), _columns(SCORED, dataset)
    unheard = ~np.isin(scored[1], np.unique(judged[1]))
    pairs, voters, strengths = (np.concatenate([one, other[unheard]]) for one, other in zip(judged, scored, strict=True))
    facts = Judge.objects.in_bulk(np.unique(voters).tolist())
    keep = _newest_versions(pairs, voters, facts)
    pair_ids, pair = np.unique(pairs[keep], return_inverse=True)
    judge_ids, judge = np.unique(voters[keep], return_inverse=True)
    judges = [facts[each] for each in judge_ids.tolist()]
    return Ledger(
        pair=pair.astype(np.int32),
        judge=judge.astype(np.int32),
        strength=strengths[keep],
        pair_ids=pair_ids,
        judge_ids=judge_ids,
        of_app=frozenset(place for place, each in enumerate(judges) if each.user_id is not None and not each.is_gold),
        gold=frozenset(place for place, each in enumerate(judges) if each.is_gold),
    )


def _newest_versions(pairs: NDArray[np.int64], voters: NDArray[np.int64], facts: dict[int, Judge]) -> NDArray[np.bool_]:
    """types.newest_versions in arrays: False for votes of a model of which a newer version judged the same pair."""
    names: dict[tuple[str, ...], int] = {}
    model_of = {
        pk: names.setdefault((each.kind, each.name, each.method) if each.kind in MODEL_KINDS else ("", str(pk)), len(names))
        for pk, each in facts.items()
    }
    judge_ids, place = np.unique(voters, return_inverse=True)
    model = np.array([model_of[pk] for pk in judge_ids.tolist()], np.int64)[place] if len(voters) else voters
    order = np.lexsort((voters, model, pairs))
    ordered = np.stack([pairs, model])[:, order]
    last = np.ones(len(order), bool)
    last[:-1] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    group = np.cumsum(last) - last  # votes of one model on one pair share a number, counted from 0
    newest = voters[order][last]
    keep = np.zeros(len(order), bool)
    keep[order] = voters[order] == newest[group] if len(order) else False
    return keep


def _columns(sql: str, dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pair ids, judge ids and signed strengths of all rows, read through a cursor on the server."""
    pairs, voters, strengths = array("q"), array("q"), array("f")
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(sql, {"dataset": dataset.pk})
        while rows := cursor.fetchmany(FETCH):
            for pair, judge, strength in rows:
                pairs.append(pair)
                voters.append(judge)
                strengths.append(strength)
    return np.array(pairs, np.int64), np.array(voters, np.int64), np.array(strengths, np.float32)


def probabilities(ledger: Ledger, *, method: str, use_gold: bool = False) -> NDArray[np.float64]:
    """(n_pairs, 3) over a, tie, b, as the module's text says; rows of pairs without votes are nan."""
    is_gold = np.isin(ledger.judge, list(ledger.gold))
    is_person = np.isin(ledger.judge, list(ledger.of_app))
    people = aggregation.majority(ledger.votes(is_person))
    gold = aggregation.majority(ledger.votes(is_gold)) if use_gold else np.full_like(people, np.nan)
    votes = ledger.votes(~is_gold)
    found = (
        aggregation.majority(votes)
        if method == "majority"
        else aggregation.dawid_skene(votes, {**_agreed(people), **_agreed(gold)})
    )
    for stronger in (people, gold):
        found = np.where(np.isnan(stronger), found, stronger)
    return found


def vote_shares(dataset: Dataset, pair_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """How the votes on these pairs divide over a, tie and b, (len(pair_ids), 3), gold left out; even where nobody voted."""
    ledger = read_ledger(dataset)
    shares = aggregation.majority(ledger.votes(~np.isin(ledger.judge, list(ledger.gold))))
    found = np.full((len(pair_ids), 3), 1 / 3)
    asked, theirs = np.isin(pair_ids, ledger.pair_ids), np.searchsorted(ledger.pair_ids, pair_ids)
    found[asked] = shares[theirs[asked]]
    return np.nan_to_num(found, nan=1 / 3)


def _agreed(shares: NDArray[np.float64]) -> dict[int, int]:
    """The verdict of every row where one has more votes than any other."""
    ranked = np.sort(np.nan_to_num(shares), axis=1)
    clear = np.flatnonzero(ranked[:, 2] > ranked[:, 1])
    return dict(zip(clear.tolist(), shares[clear].argmax(axis=1).tolist(), strict=True))


def _rows(dataset: Dataset, ledger: Ledger, *, method: str, use_gold: bool) -> Iterator[Consensus]:
    """Consensus rows by pair id, of pairs with at least one vote that counts."""
    counted = np.ones(len(ledger.pair), bool) if use_gold else ~np.isin(ledger.judge, list(ledger.gold))
    found = probabilities(ledger, method=method, use_gold=use_gold)
    entropy = aggregation.disagreement(aggregation.majority(ledger.votes(counted)))
    n_judgments = np.bincount(ledger.pair[counted], minlength=len(ledger.pair_ids))
    strength = _mean_strength(ledger, counted, found)
    for place, pair_id in enumerate(ledger.pair_ids.tolist()):
        if n_judgments[place]:
            probability_a, probability_tie, probability_b = found[place].tolist()
            yield Consensus(
                dataset=dataset,
                pair_id=pair_id,
                method=method,
                probability_a=probability_a,
                probability_tie=probability_tie,
                probability_b=probability_b,
                strength=None if math.isnan(strength[place]) else float(strength[place]),
                n_judgments=int(n_judgments[place]),
                disagreement=float(entropy[place]),
            )


def _mean_strength(ledger: Ledger, counted: NDArray[np.bool_], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean signed strength of the judgments with the likeliest verdict, (n_pairs,); nan where nobody gave that verdict."""
    verdict = np.nan_to_num(found).argmax(axis=1)
    agrees = counted & (ledger.verdict == verdict[ledger.pair])
    total = np.bincount(ledger.pair[agrees], weights=ledger.strength[agrees], minlength=len(ledger.pair_ids))
    n = np.bincount(ledger.pair[agrees], minlength=len(ledger.pair_ids))
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


def _batches(rows: Iterator[Consensus]) -> Iterator[list[Consensus]]:
    batch: list[Consensus] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _upsert(batch: list[Consensus]) -> None:
    changing = ("probability_a", "probability_tie", "probability_b", "strength", "n_judgments", "disagreement", "computed_at")
    Consensus.objects.bulk_create(
        batch, update_conflicts=True, unique_fields=["pair", "method"], update_fields=[*changing], batch_size=BATCH
    )

"""Pairs as the signals and filters see them, many at once with a number of queries that does not grow with them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import F

from curation import judgments
from curation.models import Consensus, Dataset, JudgeKind, Pair, Reward
from curation.quality import Need
from curation.rendering import text_of
from curation.sql import IN_FORCE
from curation.types import STORED_LABEL, ConsensusView, PairView, RewardPair, Twins, Vote, verdict_of

EVERYTHING: frozenset[Need] = frozenset({"text", "votes", "rewards", "consensus", "twins"})

# The contents asked for, each with all pairs of the dataset that have the same content. A stored label's winner is a response
# row, and those are stored once per prompt, so that it means the same text in a pair and in its mirrored twin.
TWINS = f"""
    WITH twin AS (
        SELECT content_key, id, response_a_id, response_b_id, count(*) OVER (PARTITION BY content_key) AS n_pairs
        FROM curation_pair WHERE dataset_id = %(dataset)s AND content_key = ANY(%(keys)s)
    )
    SELECT twin.content_key, min(twin.id), max(twin.n_pairs),
           array_agg(CASE WHEN label.strength < 0 THEN twin.response_a_id WHEN label.strength > 0 THEN twin.response_b_id END)
    FROM twin
    LEFT JOIN LATERAL (
        SELECT judgment.strength
        FROM curation_judgment judgment JOIN curation_judge judge ON judge.id = judgment.judge_id
        WHERE judgment.pair_id = twin.id AND judge.kind = 'imported' AND judge.name = %(stored)s AND NOT judge.is_gold
          AND {IN_FORCE}
    ) label ON true
    WHERE twin.n_pairs > 1
    GROUP BY twin.content_key
"""  # noqa: S608 - put together from constants


def load_views(dataset: Dataset, pair_ids: Sequence[int], *, needs: frozenset[Need] = EVERYTHING) -> list[PairView]:
    """These pairs of the dataset, by id; ids of other datasets are left out. At most five queries.

    needs: what to fetch beyond the pair itself, as the signals declare it; the stored label comes with the votes.
    """
    with_text = "text" in needs
    pairs = _pairs(dataset, pair_ids, with_text=with_text)
    ids = [pair["id"] for pair in pairs]
    votes = _votes(dataset, ids) if "votes" in needs else {}
    rewards = _rewards(pairs) if "rewards" in needs else {}
    consensus = _consensus(ids) if "consensus" in needs else {}
    twins = _twins(dataset, pairs) if "twins" in needs else {}
    return [
        PairView(
            id=pair["id"],
            response_a=pair["response_a_id"],
            response_b=pair["response_b_id"],
            prompt_chars=pair["prompt__n_chars"],
            chars_a=pair["response_a__n_chars"],
            chars_b=pair["response_b__n_chars"],
            text_prompt=text_of(pair["prompt__messages"]) if with_text else "",
            text_a=text_of(pair["response_a__messages"]) if with_text else "",
            text_b=text_of(pair["response_b__messages"]) if with_text else "",
            stored_strength=_stored(votes.get(pair["id"], ())),
            votes=tuple(votes.get(pair["id"], ())),
            rewards=_paired(pair, rewards),
            consensus=consensus.get(pair["id"], {}),
            twins=twins.get(pair["id"]),
            pool=pair["pool"],
        )
        for pair in pairs
    ]


def _pairs(dataset: Dataset, pair_ids: Sequence[int], *, with_text: bool) -> list[dict[str, Any]]:
    joined = ("prompt", "response_a", "response_b")
    names = ["id", "response_a_id", "response_b_id", "content_key", "pool", *(f"{name}__n_chars" for name in joined)]
    names += [f"{name}__messages" for name in joined] if with_text else []
    return list(Pair.objects.filter(dataset=dataset, id__in=pair_ids).order_by("id").values(*names))


def _votes(dataset: Dataset, pair_ids: list[int]) -> dict[int, list[Vote]]:
    found: dict[int, list[Vote]] = defaultdict(list)
    fields = ("pair_id", "judge_id", "strength", "tie_kind", "order_shown", "occasion", "probability")
    judge = {"name": F("judge__name"), "kind": F("judge__kind"), "gold": F("judge__is_gold"), "method": F("judge__method")}
    rows = judgments.current(dataset).filter(pair_id__in=pair_ids).order_by("id")
    for row in rows.values(*fields, **judge, user=F("judge__user_id")).iterator(chunk_size=5000):
        found[row["pair_id"]].append(_vote(row))
    return found


def _vote(row: dict[str, Any]) -> Vote:
    return Vote(
        judge_id=row["judge_id"],
        judge_name=row["name"],
        kind=row["kind"],
        verdict=verdict_of(row["strength"]),
        strength=row["strength"],
        tie_kind=row["tie_kind"],
        order=row["order_shown"],
        occasion=row["occasion"],
        probability=row["probability"],
        is_gold=row["gold"],
        of_app=row["user"] is not None,
        method=row["method"],
    )


def _stored(votes: Iterable[Vote]) -> int | None:
    """Strength of the label the pair came with."""
    stored = [vote for vote in votes if vote.kind == JudgeKind.IMPORTED and vote.judge_name == STORED_LABEL and not vote.is_gold]
    return stored[-1].strength if stored else None


def _rewards(pairs: list[dict[str, Any]]) -> dict[int, dict[int, tuple[str, float]]]:
    """(judge name, value) by response and judge."""
    response_ids = {pair[name] for pair in pairs for name in ("response_a_id", "response_b_id")}
    found: dict[int, dict[int, tuple[str, float]]] = defaultdict(dict)
    rows = Reward.objects.filter(response_id__in=response_ids).values_list("response_id", "judge_id", "judge__name", "value")
    for response, judge, name, value in rows.iterator(chunk_size=5000):
        found[response][judge] = (name, value)
    return found


def _paired(pair: dict[str, Any], rewards: dict[int, dict[int, tuple[str, float]]]) -> dict[int, RewardPair]:
    of_a, of_b = rewards.get(pair["response_a_id"], {}), rewards.get(pair["response_b_id"], {})
    return {
        judge: RewardPair(
            judge_id=judge,
            judge_name=(of_a.get(judge) or of_b[judge])[0],
            a=of_a[judge][1] if judge in of_a else None,
            b=of_b[judge][1] if judge in of_b else None,
        )
        for judge in sorted(of_a.keys() | of_b.keys())
    }


def _consensus(pair_ids: list[int]) -> dict[int, dict[str, ConsensusView]]:
    found: dict[int, dict[str, ConsensusView]] = defaultdict(dict)
    names = ("method", "probability_a", "probability_tie", "probability_b", "strength", "n_judgments", "disagreement")
    for row in Consensus.objects.filter(pair_id__in=pair_ids).values("pair_id", *names):
        pair_id = row.pop("pair_id")
        found[pair_id][row["method"]] = ConsensusView(**row)
    return found


def _twins(dataset: Dataset, pairs: list[dict[str, Any]]) -> dict[int, Twins]:
    """By pair id, for every pair; those whose content no other pair has are alone in theirs."""
    keys = [bytes(pair["content_key"]) for pair in pairs]
    with connection.cursor() as cursor:
        cursor.execute(TWINS, {"dataset": dataset.pk, "stored": STORED_LABEL, "keys": keys})
        shared = {
            bytes(key): Twins(first, n, frozenset(winner for winner in winners if winner is not None))
            for key, first, n, winners in cursor.fetchall()
        }
    return {pair["id"]: shared.get(key) or Twins(pair["id"], 1) for pair, key in zip(pairs, keys, strict=True)}

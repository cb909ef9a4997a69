"""Pairs as the signals and filters see them, read for one range of ids with a number of queries that does not grow with it."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import F

from curation import judgments
from curation.models import Consensus, Dataset, JudgeKind, Pair, Reward
from curation.types import STORED_LABEL, ConsensusView, PairView, RewardPair, Twins, Vote, verdict_of

# The pairs of a range, each with all pairs of the dataset that have the same content. A stored label's winner is a response
# row, and those are stored once per prompt, so that it means the same text in a pair and in its mirrored twin.
TWINS = """
    SELECT twin.content_key, min(twin.id), count(DISTINCT twin.id),
           array_agg(DISTINCT CASE WHEN label.strength < 0 THEN twin.response_a_id WHEN label.strength > 0 THEN twin.response_b_id END)
    FROM curation_pair twin
    LEFT JOIN (
        SELECT judgment.pair_id, judgment.strength
        FROM curation_judgment judgment JOIN curation_judge judge ON judge.id = judgment.judge_id
        WHERE judgment.dataset_id = %(dataset)s AND judge.kind = 'imported' AND judge.name = %(stored)s AND NOT judge.is_gold
          AND NOT judgment.retracted
          AND NOT EXISTS (SELECT 1 FROM curation_judgment later WHERE later.supersedes_id = judgment.id)
    ) label ON label.pair_id = twin.id
    WHERE twin.dataset_id = %(dataset)s AND twin.content_key = ANY(%(keys)s)
    GROUP BY twin.content_key
    HAVING count(DISTINCT twin.id) > 1
"""


def load_views(
    dataset: Dataset, first_pair: int, last_pair: int, *, with_text: bool = False, with_votes: bool = True
) -> list[PairView]:
    """The pairs of the dataset with ids in this range, both ends included, by id: at most six queries.

    with_text: prompt and response texts too. with_votes: current judgments, rewards, consensus and the stored label; without
    them only what the pair itself says.
    """
    pairs = _pairs(dataset, first_pair, last_pair, with_text=with_text)
    if not pairs:
        return []
    twins = _twins(dataset, [bytes(pair["content_key"]) for pair in pairs])
    votes, rewards, consensus = _opinions(dataset, pairs) if with_votes else ({}, {}, {})
    return [
        PairView(
            id=pair["id"],
            response_a=pair["response_a_id"],
            response_b=pair["response_b_id"],
            prompt_chars=pair["prompt__n_chars"],
            chars_a=pair["response_a__n_chars"],
            chars_b=pair["response_b__n_chars"],
            text_prompt=_text(pair.get("prompt__messages", ())),
            text_a=_text(pair.get("response_a__messages", ())),
            text_b=_text(pair.get("response_b__messages", ())),
            stored_strength=_stored(votes.get(pair["id"], ())),
            votes=tuple(votes.get(pair["id"], ())),
            rewards=_paired(pair, rewards),
            consensus=consensus.get(pair["id"], {}),
            twins=twins.get(bytes(pair["content_key"])) or Twins(first_pair=pair["id"], n_pairs=1),
            pool=pair["pool"],
        )
        for pair in pairs
    ]


def _pairs(dataset: Dataset, first_pair: int, last_pair: int, *, with_text: bool) -> list[dict[str, Any]]:
    joined = ("prompt", "response_a", "response_b")
    names = ["id", "response_a_id", "response_b_id", "content_key", "pool", *(f"{name}__n_chars" for name in joined)]
    names += [f"{name}__messages" for name in joined] if with_text else []
    return list(Pair.objects.filter(dataset=dataset, id__range=(first_pair, last_pair)).order_by("id").values(*names))


def _opinions(dataset: Dataset, pairs: list[dict[str, Any]]) -> tuple[dict, dict, dict]:
    """Votes by pair, rewards by (response, judge) and consensus by pair and method."""
    ids = [pair["id"] for pair in pairs]
    responses = {pair[name] for pair in pairs for name in ("response_a_id", "response_b_id")}
    return _votes(dataset, ids), _rewards(responses), _consensus(ids)


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


def _rewards(response_ids: set[int]) -> dict[int, dict[int, tuple[str, float]]]:
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
        found[row.pop("pair_id")][row["method"]] = ConsensusView(**row)
    return found


def _twins(dataset: Dataset, keys: list[bytes]) -> dict[bytes, Twins]:
    """By content key, for contents that more than one pair of the dataset has."""
    with connection.cursor() as cursor:
        cursor.execute(TWINS, {"dataset": dataset.pk, "stored": STORED_LABEL, "keys": keys})
        return {
            bytes(key): Twins(first, n, frozenset(winner for winner in winners if winner is not None))
            for key, first, n, winners in cursor.fetchall()
        }


def _text(messages: Iterable[dict[str, Any]]) -> str:
    """All text of a conversation, one message after the other; parts that are not text are left out."""
    texts = []
    for message in messages:
        content = message.get("content")
        parts = [content] if isinstance(content, str) else content if isinstance(content, list) else []
        texts += [part if isinstance(part, str) else str(part.get("text", "")) for part in parts if isinstance(part, str | dict)]
    return "\n".join(text for text in texts if text)

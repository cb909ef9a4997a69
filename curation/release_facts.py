"""What a release says about itself: the figures of its manifest and its card, taken while it is cut. Reads, never writes."""

from collections import Counter, defaultdict
from typing import Any

from curation import agreement_report, card
from curation.exporters import ReleasedRow
from curation.models import Dataset, Recipe, Release, ReleaseRow
from curation.release_rows import Preview
from curation.sql import IN_FORCE, rows

Tally = defaultdict[str, Counter[Any]]

# Judgments in force on released pairs. People of this app are told apart, but not named: a card is made to be published.
# `compared` are verdicts that name a side on pairs whose released label does; `agreeing` those that name the chosen one.
JUDGES = f"""
    WITH label AS (
        SELECT pair_id, min(chosen) AS chosen, max(margin) AS margin FROM curation_releaserow
        WHERE release_id = %(release)s GROUP BY pair_id
    )
    SELECT judge.kind, CASE WHEN judge.user_id IS NULL THEN judge.name ELSE 'person ' || judge.id END AS name, judge.method,
           judge.version, judge.is_gold, count(*) AS judgments, count(DISTINCT judgment.pair_id) AS pairs,
           count(*) FILTER (WHERE judgment.strength <> 0 AND label.margin > 0) AS compared,
           count(*) FILTER (WHERE judgment.strength <> 0 AND label.margin > 0
                              AND (judgment.strength < 0) = (label.chosen = 'a')) AS agreeing
    FROM curation_judgment judgment JOIN curation_judge judge ON judge.id = judgment.judge_id
    JOIN label ON label.pair_id = judgment.pair_id
    WHERE judgment.dataset_id = %(dataset)s AND {IN_FORCE}
    GROUP BY judge.id ORDER BY judge.kind, judgments DESC, judge.id
"""  # noqa: S608 - put together from constants, as are all statements here
GUIDELINES = f"""
    SELECT judgment.guideline AS version, count(*) AS judgments FROM curation_judgment judgment
    WHERE judgment.dataset_id = %(dataset)s AND judgment.guideline <> '' AND {IN_FORCE}
      AND EXISTS (SELECT 1 FROM curation_releaserow released
                  WHERE released.release_id = %(release)s AND released.pair_id = judgment.pair_id)
    GROUP BY judgment.guideline ORDER BY judgment.guideline
"""  # noqa: S608
# A tie released in both orders has two rows: sides and hashes are compared as sets.
SIDES = """
    SELECT pair_id, string_agg(chosen, '' ORDER BY chosen) AS sides,
           string_agg(encode(row_hash, 'hex'), '' ORDER BY chosen) AS hashes
    FROM curation_releaserow WHERE release_id = {} GROUP BY pair_id
"""
CHANGES = f"""
    SELECT count(*) FILTER (WHERE old.pair_id IS NULL) AS added, count(*) FILTER (WHERE new.pair_id IS NULL) AS removed,
           count(*) FILTER (WHERE old.sides <> new.sides) AS flipped,
           count(*) FILTER (WHERE old.sides = new.sides AND old.hashes <> new.hashes) AS changed,
           count(*) FILTER (WHERE old.hashes = new.hashes) AS same
    FROM ({SIDES.format("%(old)s")}) old FULL JOIN ({SIDES.format("%(new)s")}) new USING (pair_id)
"""  # noqa: S608


def new_tally() -> Tally:
    return defaultdict(Counter)


def count(tally: Tally, row: ReleasedRow, *, chosen: str, first: bool) -> None:
    """Adds one row to the figures. first: it is the pair's first row, so that pairs are counted once."""
    long, short = (sum(len(message["content"]) for message in side) for side in (row.chosen, row.rejected))
    tally["split"][row.split] += 1
    tally["chosen"][chosen if row.margin else "tie"] += 1
    tally["margin"][margin_band(row.margin)] += 1
    tally["length"]["longer" if long > short else "shorter" if long < short else "same"] += 1
    if first:
        tally["reason"][row.pool, row.action, row.reason] += 1
        tally["source"][row.label_source] += 1


def margin_band(margin: float) -> str:
    """'0' for ties, else the band of one whose upper end is counted in."""
    return next(band for band, end in (("0", 0), ("up to 1", 1), ("1 to 2", 2), ("2 to 3", 3)) if margin <= end)


def facts(
    dataset: Dataset, *, release_id: int, parent: Release | None, preview: Preview, tally: Tally, not_text: Counter[str]
) -> dict[str, Any]:
    """The measured part of a manifest. The release's rows are already written. Pairs, not rows, unless a name says rows."""
    reasons = [
        {"pool": pool, "action": action, "reason": reason, "pairs": n}
        for (pool, action, reason), n in tally["reason"].most_common()
    ]
    left_out = [{"cause": cause, "pool": pool, "pairs": n} for cause, pool, n in preview.left_out]
    left_out += [{"cause": "not_text", "pool": pool, "pairs": n} for pool, n in sorted(not_text.items())]
    released = ReleaseRow.objects.filter(release_id=release_id)
    return {
        "considered": preview.n_pairs,
        "released": {
            "rows": tally["split"].total(),
            "pairs": tally["reason"].total(),
            "prompts": released.values("pair__prompt").distinct().count(),
            "rows_by_split": dict(sorted(tally["split"].items())),
            "by_reason": reasons,
            "by_source": dict(sorted(tally["source"].items())),
        },
        "left_out": left_out,
        "labels": {
            "rows_by_chosen_side": dict(sorted(tally["chosen"].items())),
            "rows_by_margin": dict(sorted(tally["margin"].items())),
            "rows_by_length_of_chosen": dict(sorted(tally["length"].items())),
        },
        "changes": changes(release_id, parent.pk) if parent else None,
        "judges": rows(JUDGES, dataset=dataset.pk, release=release_id),
        "guidelines": rows(GUIDELINES, dataset=dataset.pk, release=release_id),
        "agreement": agreement_of_people(dataset),
        "recipes": list(Recipe.objects.filter(dataset=dataset).order_by("id").values("id", "name", "code_version")),
    }


def agreement_of_people(dataset: Dataset) -> dict[str, Any]:
    """Over all human judgments of the dataset, not of the release alone. A figure that is undefined is None, `notes` say why."""
    report = agreement_report.report(dataset)
    return {name: report[name] for name in ("annotators", "pairs", *card.AGREEMENT, "notes")}


def changes(new_id: int, old_id: int) -> dict[str, int]:
    """Pairs added, removed, flipped (another response chosen), changed otherwise (margin, pool, reason ...), and the same."""
    return rows(CHANGES, old=old_id, new=new_id)[0]

"""Files that import tests write."""

import gzip
import json
from pathlib import Path

from curation import importers
from curation.models import Dataset, Import, Judgment, Pair, Prompt, Response


def pair_row(number: int, **fields) -> dict:
    labels = [{"annotator": f"w{number % 7}", "preference": "ab"[number % 2]}, {"annotator": "w9", "preference": "tie"}]
    return {
        "id": f"p{number}", "source": "test", "prompt": f"Question {number // 3}", "response_a": f"First {number}",
        "response_b": f"Second {number}", "labels": labels, "gold": "a", "meta": {"subset": f"s{number % 2}"}, **fields,
    }  # fmt: skip


def verdict_row(number: int, **fields) -> dict:
    return {
        "id": f"v{number}", "pair_id": f"p{number}", "judge_model": "gpt", "method": "m", "order": "ab", "raw": f"raw {number}",
        "verdict": "a", **fields,
    }  # fmt: skip


def write_rows(path: Path, rows) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def bring_in(dataset: Dataset, path: Path, **options) -> Import:
    """Import one file to its end."""
    started = importers.start_import(dataset, path, file_name=path.name, **options)
    while importers.resume(started.pk):
        pass
    started.refresh_from_db()
    return started


def counts(dataset: Dataset) -> dict[str, int]:
    return {
        "prompts": Prompt.objects.filter(dataset=dataset).count(),
        "responses": Response.objects.filter(prompt__dataset=dataset).count(),
        "pairs": Pair.objects.filter(dataset=dataset).count(),
        "judgments": Judgment.objects.filter(dataset=dataset).count(),
    }


def issue_codes(imported: Import) -> dict[str, int]:
    found: dict[str, int] = {}
    for code in imported.issues.values_list("code", flat=True):
        found[code] = found.get(code, 0) + 1
    return found

"""The whole loop in real processes: services, workers, import, judges over HTTP, people, decisions, release."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def demo(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "BROKER_URL", "CONCORD_JUDGE_URL")
    }
    return subprocess.run(
        [sys.executable, "manage.py", "demo", "--no-serve", *options],
        cwd=ROOT,
        env={**environment, "CONCORD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for parent in (folder, *folder.parents):  # PostgreSQL drops root's rights and must get through
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    return folder


@pytest.mark.models
def test_the_loop_halves_the_label_error_with_few_human_labels_and_starts_no_work_twice(home):
    first = demo(home, "--pairs", "180")
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    figures = json.loads((home / "demo.json").read_text())
    assert figures["pairs"] == 180
    assert figures["label_error_after"] <= figures["label_error_before"] / 2
    assert 0 < figures["human_labels"] <= 0.15 * figures["pairs"]
    assert figures["released"] > figures["pairs"] / 2

    again = demo(home, "--pairs", "180")
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]
    repeated = json.loads((home / "demo.json").read_text())
    unchanged = ("pairs", "human_labels", "released", "release_hash", "label_error_after", "decisions")
    assert {key: repeated[key] for key in unchanged} == {key: figures[key] for key in unchanged}


@pytest.mark.models
def test_own_pairs_are_triaged_without_anybody_having_judged(home):
    rows = [
        {"prompt": f"Name a number above {n}.", "chosen": f"{n + 5}", "rejected": f"{n - 5}, I would say, after some thought."}
        for n in range(10, 60)
    ]
    source = home / "my pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n")
    done = demo(home, "--data", str(source))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = json.loads((home / "demo.json").read_text())
    assert (figures["dataset"], figures["pairs"]) == ("my-pairs", 50)
    assert sum(figures["pools"].values()) == 50

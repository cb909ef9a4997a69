"""Pushing with the real client, in a process of its own, to a server that speaks the Hub's protocol."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from curation import releases
from tests.builders import make_decision, make_pair
from tests.hub_server import hub_server

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "hf_secretsecret"


@pytest.fixture
def hub():
    with hub_server(TOKEN) as server:
        yield server


@pytest.fixture
def release(dataset, settings, tmp_path):
    settings.PATHS = type(settings.PATHS)(tmp_path / "home")
    for number in range(6):
        make_decision(make_pair(dataset, number), strength=-1.5 if number % 2 else 2)
    return releases.cut(dataset, test_share=0.4)


def environment(tmp_path, url, **extra):
    database = connection.settings_dict
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {
        **kept,
        "DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}?host={quote(database['HOST'], safe='')}",
        "CONCORD_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **extra,
    }


def push(tmp_path, hub, *options, token=TOKEN, url=None):
    command = [sys.executable, "manage.py", "release", "push", "pairs", "owner/sums", "--workspace", "lab", *options]
    env = environment(tmp_path, url or hub.url, HF_TOKEN=token)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)


def test_pushed_files_are_the_exported_ones_and_a_second_push_sends_nothing(release, hub, tmp_path):
    first = push(tmp_path, hub, "--json")
    assert first.returncode == 0, first.stderr
    repo = hub.repos["datasets/owner/sums"]
    folder = releases.export(release)
    local = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: data for name, data in repo.files().items() if name != ".gitattributes"} == local
    assert repo.private
    assert repo.commits[-1][1].startswith("Release 1 (")
    assert json.loads(first.stdout)["new"] is True
    commits, blobs = len(repo.commits), dict(hub.blobs)
    assert len(blobs) == len(list(folder.glob("*.parquet"))) == 2

    second = push(tmp_path, hub, "--json")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["new"] is False
    assert (len(repo.commits), hub.blobs) == (commits, blobs)
    assert TOKEN not in first.stdout + first.stderr + second.stdout + second.stderr


def test_a_later_release_takes_away_the_files_it_does_not_have_and_nothing_else(release, hub, tmp_path):
    assert push(tmp_path, hub, "--public").returncode == 0
    repo = hub.repos["datasets/owner/sums"]
    assert not repo.private
    repo.commit("by hand", {**repo.files(), "figures/plot.parquet": b"mine"})
    later = releases.cut(release.dataset)
    assert push(tmp_path, hub).returncode == 0
    assert set(repo.files()) == {
        ".gitattributes",
        "figures/plot.parquet",
        "README.md",
        "LICENSE.md",
        "manifest.json",
        "train.parquet",
    }
    assert json.loads(repo.files()["manifest.json"])["version"] == later.version == 2
    assert push(tmp_path, hub, "--version", "1").returncode == 0
    assert "test.parquet" in repo.files()


def test_what_was_pushed_loads_from_the_hub(release, hub, tmp_path):
    assert push(tmp_path, hub, "--profile", "trl_explicit", "--provenance").returncode == 0
    code = (
        "import json; from datasets import load_dataset; loaded = load_dataset('owner/sums');"
        "print(json.dumps({split: list(rows) for split, rows in loaded.items()}))"
    )
    env = environment(tmp_path, hub.url, HF_HUB_DISABLE_XET="1", HF_TOKEN=TOKEN)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert {split: len(rows) for split, rows in loaded.items()} == release.manifest["released"]["rows_by_split"]
    by_id = {row["id"]: row for rows in loaded.values() for row in rows}
    pair = release.rows.select_related("pair").get(pair__external_id="pair-1").pair
    assert by_id["pair-1"]["chosen"] == pair.response_a.messages
    assert by_id["pair-1"]["strength"] == -1.5


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("", 0, "set HF_TOKEN"),
        ("hf_wrongwrong", 0, "does not accept the token"),
        (TOKEN, 403, "no right to write to owner/sums"),
        (TOKEN, 404, "no repository owner/sums"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_the_token_to_itself(release, hub, tmp_path, token, status, words):
    hub.refuse = status
    done = push(tmp_path, hub, token=token)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not token or token not in done.stdout + done.stderr


def test_a_hub_that_cannot_be_reached_is_said_in_words(release, tmp_path):
    with hub_server(TOKEN) as gone:
        url = gone.url
    done = push(tmp_path, gone, url=url)
    assert done.returncode == 1
    assert f"The Hub at {url} cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_none_is_said_in_words(release, hub, tmp_path):
    command = [sys.executable, "manage.py", "release", "push", "pairs", "a/b/c", "--workspace", "lab"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path, hub.url, HF_TOKEN=TOKEN), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "use owner/name" in done.stderr

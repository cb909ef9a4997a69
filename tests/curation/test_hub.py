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


PUSHES = """
import json, sys
from django.core.management import CommandError, call_command
for arguments in json.loads(sys.argv[-1]):
    try:
        call_command("release", "push", "pairs", *arguments, "--workspace", "lab", "--json")
    except CommandError as error:
        print(json.dumps({"error": str(error)}, indent=2))
    print(flush=True)
"""


def push(tmp_path, url, *pushes, token=TOKEN):
    """What each of these pushes printed, all in one process; and everything that process wrote."""
    setup = "import django; django.setup()"
    done = subprocess.run(
        [sys.executable, "-c", f"{setup}\n{PUSHES}", json.dumps(pushes)], cwd=ROOT, capture_output=True, text=True, timeout=200,
        env=environment(tmp_path, url, HF_TOKEN=token, DJANGO_SETTINGS_MODULE="config.settings"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(part) for part in done.stdout.strip().split("\n\n")], done.stdout + done.stderr


def run(*command, env):
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)


def test_pushed_files_are_the_exported_ones_and_a_second_push_sends_nothing(release, hub, tmp_path):
    [first, second], said = push(tmp_path, hub.url, ["owner/sums"], ["owner/sums"])
    repo = hub.repos["datasets/owner/sums"]
    folder = releases.export(release)
    assert {name: data for name, data in repo.files().items() if name != ".gitattributes"} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert repo.private
    assert [summary for _, summary, _ in repo.commits] == ["initial commit", f"Release 1 ({release.content_hash[:12]})"]
    assert (first["new"], second["new"]) == (True, False)
    assert first["commit"] == second["commit"] == repo.head
    assert len(hub.blobs) == sum(request.startswith("PUT /lfs/") for request in hub.requests) == 2
    assert TOKEN not in said


def test_a_later_release_takes_away_the_files_it_does_not_have_and_nothing_else(release, hub, tmp_path):
    push(tmp_path, hub.url, ["owner/sums", "--public"])
    repo = hub.repos["datasets/owner/sums"]
    assert not repo.private
    assert "test.parquet" in repo.files()
    repo.commit("by hand", {**repo.files(), "figures/train.parquet": b"mine"})
    later = releases.cut(release.dataset)
    push(tmp_path, hub.url, ["owner/sums"], ["owner/sums", "--version", "1"])
    latest, first_again = repo.commits[-2][2], repo.files()
    assert set(latest) == {".gitattributes", "figures/train.parquet", "README.md", "LICENSE.md", "manifest.json", "train.parquet"}
    assert json.loads(latest["manifest.json"])["version"] == later.version == 2
    assert set(first_again) == {*latest, "test.parquet"}


def test_what_the_command_pushed_loads_from_the_hub(release, hub, tmp_path):
    env = environment(tmp_path, hub.url, HF_HUB_DISABLE_XET="1", HF_TOKEN=TOKEN)
    options = ("owner/sums", "--workspace", "lab", "--profile", "trl_explicit", "--provenance")
    pushed = run("manage.py", "release", "push", "pairs", *options, env=env)
    assert pushed.returncode == 0, pushed.stderr
    assert f"{hub.url}/datasets/owner/sums now holds pairs v1" in pushed.stdout
    code = (
        "import json; from datasets import load_dataset; loaded = load_dataset('owner/sums');"
        "print(json.dumps({split: list(rows) for split, rows in loaded.items()}))"
    )
    done = run("-c", code, env=env)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert {split: len(rows) for split, rows in loaded.items()} == release.manifest["released"]["rows_by_split"]
    by_id = {row["id"]: row for rows in loaded.values() for row in rows}
    pair = release.rows.select_related("pair").get(pair__external_id="pair-1").pair
    assert by_id["pair-1"]["chosen"] == pair.response_a.messages
    assert by_id["pair-1"]["strength"] == -1.5


def test_a_refusal_says_what_to_do_and_keeps_the_token_to_itself(release, hub, tmp_path):
    hub.refuse = {"owner/forbidden": 403, "owner/gone": 404, "owner/broken": 418}
    names = [["owner/forbidden"], ["owner/gone"], ["owner/broken"], ["a/b/c"]]
    answers, said = push(tmp_path, hub.url, *names)
    words = [answer["error"] for answer in answers]
    assert "no right to write to owner/forbidden" in words[0]
    assert "no repository owner/gone" in words[1]
    assert words[2].startswith("The Hub answered 418.")
    assert "use owner/name" in words[3]
    assert TOKEN not in said
    [refused], said = push(tmp_path, hub.url, ["owner/sums"], token="hf_wrongwrong")
    assert "does not accept the token" in refused["error"]
    assert "hf_wrongwrong" not in said
    assert not hub.repos


def test_a_missing_token_and_a_hub_that_cannot_be_reached_are_said_in_words(release, tmp_path):
    with hub_server(TOKEN) as gone:
        url = gone.url
    [answer], _ = push(tmp_path, url, ["owner/sums"])
    assert f"The Hub at {url} cannot be reached" in answer["error"]
    with pytest.raises(releases.ReleaseError, match="set HF_TOKEN"):
        push_without_token(release)


def push_without_token(release):
    from curation import hub as client

    return client.push(release, "owner/sums", token="")

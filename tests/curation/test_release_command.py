"""manage.py release: what it prints and how it exits."""

import json

import pytest
from django.core.management import CommandError, call_command

from curation.models import Response
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def release_folder(settings, tmp_path):
    settings.PATHS = type(settings.PATHS)(tmp_path)


@pytest.fixture
def run(capsys, dataset):
    def run(action, *arguments):
        call_command("release", action, "pairs", *arguments, "--workspace", "lab")
        return capsys.readouterr().out

    return run


@pytest.fixture
def decided(dataset):
    return [make_decision(make_pair(dataset, number), strength=number - 1.0) for number in range(4)]


def test_cut_list_and_export_from_the_command_line(run, decided, tmp_path):
    words = run("cut", "--notes", "first")
    assert "Release 1 of pairs: 3 rows from 4 pairs" in words
    assert "left out: 1 x tie, left out by policy (silver)" in words
    assert "Nothing changed since release 1" in run("cut")
    assert json.loads(run("cut", "--tie-policy", "both_orders", "--json"))["rows"] == 5
    assert [release["version"] for release in json.loads(run("list", "--json"))] == [2, 1]
    run("export", "1", "--to", str(tmp_path / "out"), "--format", "jsonl")
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == 3
    latest = json.loads(run("export", "--json"))
    assert latest["files"] == ["LICENSE.md", "README.md", "manifest.json", "train.parquet"]


def test_verify_exits_with_1_and_names_the_row(run, decided, capsys):
    run("cut")
    assert "all is as released" in run("verify", "1")
    Response.objects.filter(pk=decided[2].pair.response_a_id).update(messages=[{"role": "assistant", "content": "forged"}])
    with pytest.raises(SystemExit) as ended:
        run("verify")
    assert ended.value.code == 1
    assert "row 2 (pair 'pair-2')" in capsys.readouterr().out


def test_what_is_not_there_is_said_in_words(run, decided):
    with pytest.raises(CommandError, match="has no release. Cut one: manage.py release cut pairs"):
        run("export")
    run("cut")
    with pytest.raises(CommandError, match="has no release 7"):
        run("verify", "7")
    with pytest.raises(CommandError, match="There is no dataset 'nothing' in the workspace 'lab'"):
        call_command("release", "list", "nothing", "--workspace", "lab")
    with pytest.raises(CommandError, match="A release takes pairs of the pools"):
        run("cut", "--pools", "unverified")

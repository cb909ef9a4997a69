"""doctor, the status page and the banner tell the same story, to those who can act on it."""

import json
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from config import health, waiting
from curation import waking
from curation.models import Chunk, ChunkState, Import, Run, WorkerBeat

pytestmark = pytest.mark.django_db


def old_run(dataset, *, seconds: int = 30, **chunk: object) -> Run:
    """A run with one chunk, made so many seconds ago."""
    run = Run.objects.create(dataset=dataset, step="signals", key="k", queue=chunk.pop("queue", "cpu"))
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))
    Chunk.objects.create(run=run, first_pair=1, last_pair=9, n_pairs=9, **chunk)
    return run


def beat(queue: str, *, age: float = 1) -> None:
    WorkerBeat.objects.create(name=f"{queue}@here", queues=[queue], pid=1, seen_at=timezone.now() - timedelta(seconds=age))


def find(name: str) -> health.Check:
    return next(check for check in health.checks() if check.name == name)


def test_a_run_that_nobody_takes_is_named_in_the_banner_and_fails_the_doctor(client, dataset, curator, monkeypatch):
    run = old_run(dataset, queue="gpu")
    beat("gpu", age=60)  # a worker that was here once does not count
    client.force_login(curator)
    for url in [reverse("home"), reverse("status")]:
        page = client.get(url).content.decode()
        assert "No worker has taken" in page
        assert reverse("run", args=["lab", "pairs", run.pk]) in page
        assert "-Q gpu" in page
    queues = find("queues")
    assert queues.state == "fail"
    assert "1 run of queue gpu" in queues.message
    assert "manage.py up" in queues.remedy


def test_a_run_behind_other_work_of_a_living_worker_only_waits(dataset):
    old_run(dataset)
    beat("cpu")
    assert find("queues").state == "warn"
    assert waiting.waiting_work()[0].has_worker


@pytest.mark.parametrize(
    ("case", "chunk"),
    [
        ("just started", {"seconds": 5}),
        ("being worked on", {"state": ChunkState.LEASED, "lease_until": timezone.now() + timedelta(hours=1)}),
        ("waiting to be tried again", {"lease_until": timezone.now() + timedelta(hours=1)}),
        ("taken a moment ago", {"started_at": timezone.now() + timedelta(hours=1)}),
        ("all done", {"state": ChunkState.DONE}),
    ],
)
def test_a_run_that_needs_no_worker_now_raises_no_alarm(case, chunk, dataset):
    old_run(dataset, **chunk)
    assert waiting.waiting_work() == []


def test_a_run_whose_worker_vanished_and_a_cancelled_one_are_told_apart(dataset):
    lost = old_run(dataset, state=ChunkState.LEASED, lease_until=timezone.now() - timedelta(seconds=1))
    over = old_run(dataset)
    Run.objects.filter(pk=over.pk).update(cancelled_at=timezone.now())
    assert [item.work for item in waiting.waiting_work()] == [lost]


def test_an_import_that_nobody_takes_is_told_too(client, dataset, curator):
    item = Import.objects.create(dataset=dataset, file_name="<b>pairs</b>.jsonl", path="/nowhere")
    Import.objects.filter(pk=item.pk).update(created_at=timezone.now() - timedelta(seconds=30))
    client.force_login(curator)
    page = client.get(reverse("status_banner")).content.decode()
    assert "import of &lt;b&gt;pairs&lt;/b&gt;.jsonl" in page


def test_only_those_who_curate_the_workspace_see_what_waits_in_it(client, dataset, annotator, stranger):
    old_run(dataset)
    for user in (annotator, stranger):
        client.force_login(user)
        for name in ("home", "status", "status_banner"):
            assert "No worker has taken" not in client.get(reverse(name)).content.decode()


def test_the_status_page_is_for_members_and_shows_every_check(client, curator, django_user_model):
    beat("cpu")
    assert client.get(reverse("status")).status_code == 302
    client.force_login(django_user_model.objects.create_user("nobody"))
    assert client.get(reverse("status")).status_code == 404
    client.force_login(curator)
    page = client.get(reverse("status")).content.decode()
    for check in health.checks():
        assert check.name.capitalize() in page
    assert "cpu@here" in page
    assert "PostgreSQL 18" in page


def test_the_banner_costs_two_queries_where_nothing_waits(dataset, curator, django_assert_num_queries):
    with django_assert_num_queries(2):  # one for runs, one for imports
        assert waiting.waiting_for(curator) == []


def test_a_broker_that_is_gone_is_reported_with_a_remedy_and_the_site_stays_up(client, monkeypatch):
    monkeypatch.setattr(health.app.conf, "broker_url", "redis+socket:///nowhere/valkey.sock")
    monkeypatch.setattr(health.app.conf, "broker_write_url", "redis+socket:///nowhere/valkey.sock", raising=False)
    broker = find("broker")
    assert broker.state == "fail"
    assert "manage.py up" in broker.remedy
    answer = client.get("/healthz", headers={"host": "10.0.0.7"})
    assert answer.status_code == 200
    assert answer.json() == {"database": True, "broker": False}


def test_a_broker_that_says_nothing_holds_up_neither_the_health_check_nor_a_page(client, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers nothing, as a frozen server does
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        monkeypatch.setattr(health.app.conf, "broker_url", address)
        monkeypatch.setattr(health.app.conf, "broker_write_url", address, raising=False)
        monkeypatch.setattr(health, "BROKER_SECONDS", 0.3)
        monkeypatch.setitem(waking.ONE_TRY, "socket_timeout", 0.3)
        started = time.monotonic()
        assert client.get("/healthz").json() == {"database": True, "broker": False}
        waking.send("curation.tasks.drain_run", 1, "cpu", 2)
        assert time.monotonic() - started < 5


def test_each_check_names_its_remedy(settings, monkeypatch):
    monkeypatch.setattr(health, "NO_DISK", 2**60)
    settings.ALLOWED_HOSTS = ["*"]
    found = {check.name: check for check in health.checks()}
    assert found["workers"].state == "warn"
    assert found["disk"].state == "fail"
    assert "ALLOWED_HOSTS" in found["settings"].message
    assert all(check.remedy for check in found.values() if check.state != "ok")
    assert not any(check.remedy for check in found.values() if check.state == "ok")


def test_doctor_prints_json_and_fails_where_a_check_fails(dataset, capsys):
    old_run(dataset)
    with pytest.raises(SystemExit) as stopped:
        call_command("doctor", "--json")
    assert stopped.value.code == 1
    printed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert printed["database"]["state"] == "ok"
    assert printed["queues"]["state"] == "fail"


def test_the_checks_import_no_torch():
    script = "import config.health, sys; sys.exit('torch' in sys.modules)"
    code = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; import django; django.setup(); " + script
    root = Path(__file__).resolve().parent.parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0

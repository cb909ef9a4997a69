"""The embedded servers against real kills: what was acknowledged stays, and nothing is left running."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.services import ServicesFailed, ensure
from config.services.owner import Owner, closed_parent
from config.services.paths import Paths
from config.services.processes import is_running, read_pid

ROOT = Path(__file__).resolve().parent.parent.parent
HOLD = "import sys, time; from config.services import ensure\nwith ensure():\n    print('held', flush=True); time.sleep(600)"


def wait_for(check: Callable[[], bool], what: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


@pytest.fixture
def make_home() -> Iterator[Callable[[], Paths]]:
    """A home right below /tmp, which the user of the servers may enter: pytest's own folders are closed."""
    made = []

    def make(below: str = "") -> Paths:
        folder = Path(tempfile.mkdtemp(prefix="concord-", dir="/tmp"))
        folder.chmod(0o755)
        made.append((folder, Paths(folder / below)))
        return made[-1][1]

    yield make
    for folder, paths in made:
        wait_for(lambda paths=paths: not running(paths), f"the servers of {folder} to end", 30)
        shutil.rmtree(folder)
        shutil.rmtree(paths.sockets, ignore_errors=True)  # of a long path it lies elsewhere


@pytest.fixture
def home(make_home, monkeypatch) -> Paths:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("BROKER_URL", raising=False)
    return make_home()


def pid_of(paths: Paths, name: str) -> int | None:
    return read_pid(paths.home / f"{name}.lock")


def running(paths: Paths) -> list[str]:
    """Which of the home's processes live."""
    markers = {"postgres": str(paths.sockets), "valkey": str(paths.sockets), "supervisor": "config.services.supervisor"}
    found = {name: pid_of(paths, name) for name in markers}
    return [name for name, pid in found.items() if pid and is_running(pid, markers[name])]


def database(paths: Paths) -> psycopg.Connection:
    return psycopg.connect(host=str(paths.sockets), user="concord", dbname="concord", autocommit=True)


def broker(paths: Paths) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(paths.valkey_socket))


def patiently(call: Callable[[], object], errors: tuple[type[Exception], ...]) -> object:
    """The call's result, repeated while the server comes back."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return call()
        except errors:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def hold(paths: Paths) -> subprocess.Popen[str]:
    """Another process that needs the servers of this home, once it has them."""
    environment = os.environ | {"CONCORD_HOME": str(paths.home)}
    client = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "held\n"
    return client


def test_acknowledged_rows_and_messages_survive_kill_9_of_every_process(home):
    down = (psycopg.OperationalError, redis.ConnectionError, redis.BusyLoadingError)
    rows, messages = [], []

    def add(number: int) -> None:
        with database(home) as connection:
            connection.execute("INSERT INTO kept VALUES (%s) ON CONFLICT DO NOTHING", [number])
        rows.append(number)

    def push(number: int) -> None:
        broker(home).lpush("kept", number)
        messages.append(number)

    with ensure(home):
        with database(home) as connection:
            connection.execute("CREATE TABLE kept (number int PRIMARY KEY)")
        for turn, victim in enumerate(["postgres", "valkey", "supervisor"]):
            old = pid_of(home, victim)
            for number in range(turn * 60, turn * 60 + 60):
                if number % 60 == 30:
                    os.kill(old, signal.SIGKILL)
                patiently(lambda number=number: add(number), down)
                patiently(lambda number=number: push(number), down)
            wait_for(lambda victim=victim, old=old: pid_of(home, victim) != old, f"a new {victim}")
        with database(home) as connection:
            stored = [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY 1")]
        assert stored == rows == list(range(180))
        # A push whose answer the kill swallowed may be there twice, as a broker may deliver twice; none is missing.
        assert {int(message) for message in broker(home).lrange("kept", 0, -1)} == set(messages) == set(range(180))


def test_clients_share_the_servers_and_the_last_one_gone_stops_them_even_by_kill_9(home):
    other = hold(home)
    before = pid_of(home, "postgres")
    with ensure(home):
        assert pid_of(home, "postgres") == before
    with database(home) as connection:  # ours is gone, the other's still holds
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert running(home) == ["postgres", "valkey", "supervisor"]
    other.kill()
    other.wait()
    other.stdout.close()
    wait_for(lambda: not running(home), "the servers to stop after their last client")
    assert "database system is shut down" in (home.logs / "postgres.log").read_text()
    assert not home.control.exists()


def test_a_stale_pid_file_that_names_a_living_process_does_not_stop_the_start(home):
    with ensure(home):
        pid = pid_of(home, "postgres")
        os.kill(pid_of(home, "supervisor"), signal.SIGSTOP)  # so that nobody restarts it or notices us leaving
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_running(pid, str(home.sockets)), "PostgreSQL's end")
        stale = home.postgres_data / "postmaster.pid"
        someone = subprocess.Popen(["sleep", "60"], user=stale.stat().st_uid)
        stale.write_text(stale.read_text().replace(str(pid), str(someone.pid), 1))
        os.kill(pid_of(home, "supervisor"), signal.SIGCONT)
        patiently(lambda: database(home).close(), (psycopg.OperationalError,))
        someone.kill()
        someone.wait()


def test_only_the_server_that_no_variable_names_is_started(home, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/concord")
    with ensure(home):
        assert broker(home).ping()
        assert running(home) == ["valkey", "supervisor"]
    assert not home.postgres_data.exists()


def test_a_data_folder_of_another_version_is_refused_in_words_and_left_alone(home):
    home.postgres_data.mkdir()
    (home.postgres_data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServicesFailed, match="was made by PostgreSQL 9, but .* is 18"), ensure(home):
        pass
    assert [path.name for path in home.postgres_data.iterdir()] == ["PG_VERSION"]


def test_a_folder_that_the_servers_user_may_not_enter_is_found(tmp_path):
    closed = tmp_path / "private"
    (closed / "home").mkdir(parents=True)
    closed.chmod(0o700)
    status = closed.stat()
    stranger = Owner(uid=status.st_uid + 12345, gid=status.st_gid + 12345)
    found = closed_parent(closed / "home", stranger)
    assert found is not None
    assert closed.is_relative_to(found)  # pytest's own folder above it is closed as well
    assert closed_parent(closed / "home", Owner()) is None
    assert closed_parent(Path("/"), stranger) is None


def test_a_command_in_a_fresh_clone_deep_down_finds_its_tables_and_leaves_nothing_running(make_home):
    home = make_home("/".join(["a-folder-with-a-long-name"] * 5))  # too long for a socket's path
    environment = os.environ | {"CONCORD_HOME": str(home.home)}
    script = "from curation.models import Dataset; print(Dataset.objects.count())"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("0")
    assert home.migrated.exists()
    wait_for(lambda: not running(home), "the servers to stop")

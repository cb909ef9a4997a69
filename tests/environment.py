"""What must be set before Django's settings load. A pytest plugin (pyproject.toml names it): conftest.py would come too late."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Tests never touch the data of a running installation.
os.environ.setdefault("CONCORD_HOME", str(ROOT / "var" / "test"))
# Playwright's synchronous API keeps an event loop in the thread, where Django would refuse its ORM.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

_services = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    """The embedded servers serve until the session ends; the test database is made on them."""
    from config.services import ServicesFailed, ensure

    if session.config.option.collectonly:
        return
    try:
        _services.enter_context(ensure())
    except ServicesFailed as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    _services.close()

"""What must be set before Django's settings load. A pytest plugin (pyproject.toml names it): conftest.py would come too late."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.data import data_folder

LEFT_OUT = pytest.StashKey[int]()
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Published data cannot travel with the project: without it, and without a word on where it is, its tests stay out."""
    if data_folder().is_dir() or os.environ.get("CONCORD_DATA"):
        return
    left_out = [item for item in items if item.get_closest_marker("real_data")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("real_data")]
        config.stash[LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    n = config.stash.get(LEFT_OUT, 0)
    if n:
        terminalreporter.write_line(
            f"{n} tests need published data and did not run: set CONCORD_DATA to its folder.", yellow=True
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    _services.close()

"""A real Chromium against the live server. An error in its console fails the test: a blocked script or style is one."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from curation.models import User

ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_MS = 15_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


def chromium() -> str:
    """The browser's program: CONCORD_CHROMIUM, or the first one found on the PATH."""
    found = os.environ.get("CONCORD_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail("No Chromium: install one (apt-get install chromium) or set CONCORD_CHROMIUM to its path.")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def new_page(browser: Browser, live_server) -> Iterator[Callable[..., Page]]:
    """`new_page(width=1440, dark=False, scripts=True)`: a page of a visitor nobody knows, with the live server as its base."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(message.text)

    def make(*, width: int = 1440, height: int = 900, dark: bool = False, scripts: bool = True) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        return page

    forgiven: list[str] = []
    make.forgiven = forgiven  # words of complaints that a test brings about on purpose
    yield make
    for context in contexts:
        context.close()
    serious = [trouble for trouble in troubles if not any(words in trouble for words in forgiven)]
    assert not serious, serious


@pytest.fixture
def page_for(new_page: Callable[..., Page], live_server) -> Callable[..., Page]:
    """`page_for(user, **as new_page)`: a page of this person, signed in."""

    def make(user: User, **options: object) -> Page:
        client = Client()
        client.force_login(user)
        page = new_page(**options)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie.value, "url": live_server.url}])
        return page

    return make

"""A browser, and pages of it that tell what went wrong in them."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.ui.chromium import chromium

PATIENCE_MS = 30_000
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """From its start on the thread has a running event loop: a cluster has to be made before it."""
    program, environment = chromium()
    with sync_playwright() as playwright:
        # As root, and in containers, Chromium's own sandbox cannot be had; the page is ours.
        launched = playwright.chromium.launch(
            executable_path=str(program), env={**os.environ, **environment}, args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address. At the end nothing may have gone wrong in any script, and nothing been refused to load."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(url: str, prepare: Callable[[Page], object] = lambda page: None, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        page: Page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        prepare(page)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []

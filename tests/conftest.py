"""Fixtures: one sandbox for a run, one world for each test."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from browsing import PATIENCE_MS, Customer
from playwright.sync_api import Browser, expect, sync_playwright
from support import CHROMIUM, CHROMIUM_FLAGS, Receiver, Shop, new_merchant, receiver
from worlds import World, new_world

from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

_serial = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what Chromium takes part in, so that it can be run where there is no network."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox that checks each body it sends, and is quick to try a postlink again."""
    settings = Settings(port=0, self_check=True, postlink_timeout_s=1.0, postlink_retry_s=(0.02, 0.02))
    with running(settings) as started:
        yield started


@pytest.fixture(scope="session")
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Give a client whose addresses start at the sandbox."""
    with httpx.Client(base_url=sandbox.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def shop_server() -> Iterator[Receiver]:
    """Run one receiver of postlinks; tests tell theirs apart by path."""
    with receiver() as got:
        yield got


@pytest.fixture
def shop(sandbox: Sandbox, http: httpx.Client, shop_server: Receiver) -> Shop:
    """Give a shop with a new world."""
    name = f"shop{next(_serial)}"
    merchant = new_merchant(name)
    sandbox.do(sandbox.bank.store.add_merchant(merchant))
    return Shop(sandbox, http, merchant, f"{shop_server.url}/{name}")


@pytest.fixture
def ends(http: httpx.Client) -> Iterator[ExitStack]:
    """Take what shall end with the test, when no browser looks at it any more."""
    del http  # it ends later
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(http: httpx.Client, ends: ExitStack) -> World:
    """Give a merchant as the control API has it."""
    made = new_world(http)
    ends.callback(made.ask, "DELETE")  # the test may have done it
    return made


@pytest.fixture
def link(world: World, shop_server: Receiver) -> str:
    """Give an address that takes that merchant's postlinks."""
    return f"{shop_server.url}/{world.client_id}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium. Not for the session: while it runs, no other test of this process could start an event loop."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture
def customer(browser: Browser, sandbox: Sandbox, ends: ExitStack) -> Iterator[Customer]:
    """Give a customer whose browser has nothing to complain of."""
    del ends  # the browser leaves first
    somebody = Customer(browser, sandbox.url)
    yield somebody
    assert somebody.leave() == []

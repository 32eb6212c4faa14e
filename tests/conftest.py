"""Fixtures: one sandbox for a run, one world for each test."""

import itertools
from collections.abc import Iterator

import httpx
import pytest
from support import Receiver, Shop, new_merchant, receiver

from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

_serial = itertools.count()


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

"""Fixtures for a shop's tests in pytest: a sandbox for the run, and for each test a merchant with a world of its own.

pytest loads this in every run, whether or not a test pays, so the rest of the package is imported by the fixtures.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from mock_epay.client import Epay, EpayServer

SECTION: Final = "mock-epay"

_LONGEST_SEED: Final = 255
_OPTIONS: Final = {
    "epay_url": "address of a running mock-epay sandbox; empty: each run, and each worker of it, starts its own",
    "epay_control_token": "control token of that sandbox; empty: what MOCK_EPAY_CONTROL_TOKEN has, if anything",
    "epay_receiver_host": "name by which that sandbox reaches this machine; empty: 127.0.0.1",
}
_PASSED: Final = pytest.StashKey[bool]()
_WORLDS: Final = pytest.StashKey[list["Epay"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what may stand in the ini file."""
    for name, explanation in _OPTIONS.items():
        parser.addini(name, explanation, type="string", default="")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test passed; let one that failed tell what happened in its worlds."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    if report.failed:
        report.sections += [(SECTION, _story(world)) for world in item.stash.get(_WORLDS, [])]
    return report


@pytest.fixture(scope="session")
def epay_server(pytestconfig: pytest.Config) -> Iterator["EpayServer"]:
    """Give a sandbox: the one at `epay_url`, or else one in a thread of this process."""
    from mock_epay.client import EpayServer  # noqa: PLC0415
    from mock_epay.server import running  # noqa: PLC0415

    url, token, host = (pytestconfig.getini(name) for name in _OPTIONS)
    if url:
        with EpayServer(url, control_token=token or None, receiver_host=host or "127.0.0.1") as server:
            server.settings()  # a wrong token is told here, once, and not by each test
            yield server
        return
    with running() as sandbox, EpayServer(sandbox.url, control_token="") as server:
        yield server


@pytest.fixture
def epay_facts() -> dict[str, Any]:
    """Return facts of each test's merchant, such as its dialect; override this to have others than the usual ones."""
    return {}


@pytest.fixture
def epay(request: pytest.FixtureRequest, epay_server: "EpayServer", epay_facts: dict[str, Any]) -> Iterator["Epay"]:
    """Give a merchant with a world that is the same in every run, and gone after the test.

    What the test has scripted must have been used when it has passed.
    """
    world = epay_server.new_merchant(**{"seed": _seed(request.node.nodeid)} | epay_facts)
    with _shown(request.node, world):
        yield world
        left = _unused(request.node, world)
        if not world.dropped:
            world.drop()
    _refuse(left)


@pytest.fixture
def epay_test_merchant(request: pytest.FixtureRequest, epay_server: "EpayServer") -> Iterator["Epay"]:
    """Give the merchant `test`, which has the documented credentials, in a world that is new before and after the test.

    For applications that have them built in. There is one such merchant in a sandbox.
    """
    workers = getattr(request.config, "workerinput", {"workercount": 1})["workercount"]
    if workers > 1 and request.config.getini("epay_url"):
        pytest.fail("epay_test_merchant is one for all workers of the sandbox at epay_url: use epay, or one worker")
    world = epay_server.merchant("test")
    world.reset()
    with _shown(request.node, world):
        yield world
        left = _unused(request.node, world)
        world.reset()
    _refuse(left)


def _seed(node_id: str) -> str:
    """Return a test's name, or what stands for one that is too long to be a seed."""
    if len(node_id) <= _LONGEST_SEED:
        return node_id
    digest = sha256(node_id.encode()).hexdigest()
    return node_id[: _LONGEST_SEED - len(digest)] + digest


@contextmanager
def _shown(item: pytest.Item, world: "Epay") -> Iterator[None]:
    """Let reports tell of a world while it is there."""
    worlds = item.stash.setdefault(_WORLDS, [])
    worlds.append(world)
    yield
    worlds.remove(world)


def _unused(item: pytest.Item, world: "Epay") -> str:
    """Tell which decisions of the script a test that passed has left, and what happened instead; else nothing."""
    if world.dropped or not item.stash.get(_PASSED, False):
        return ""
    left = world.unused()
    if not left:
        return ""
    lines = [f"  {json.dumps(_said(decision), ensure_ascii=False)}" for decision in left]
    return "\n".join(["the script has decisions that no payment has used:", *lines, "", _story(world)])


def _said(decision: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a decision does not say."""
    silent = {"id": decision.get("id"), "delay_s": 0}
    return {name: value for name, value in decision.items() if value not in ("", None, silent.get(name))}


def _refuse(left: str) -> None:
    if left:
        pytest.fail(left, pytrace=False)


def _story(world: "Epay") -> str:
    from mock_epay.client import EpayError  # noqa: PLC0415

    try:
        return "\n".join(world.story()) or "nothing happened"
    except EpayError as wrong:
        return f"the story is lost: {wrong}"

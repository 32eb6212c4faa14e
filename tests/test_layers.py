"""Arrows point down: who may import whom, which package lives where, and who may ask the machine for time or luck."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parent.parent / "mock_epay"
ROOT: Final = "mock_epay"

# A module imports only from rows below its own.
ROWS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(row.split())
    for row in (
        "__main__",
        "cli pytest_plugin",
        "commands",
        "commands.asking",
        "commands.table",
        "commands.arguments commands.scorecard",
        "commands.failures",
        "server",
        "handler_check ready",
        "handler_check.report",
        "handler_check.judging",
        "handler_check.checks",
        "handler_check.ways",
        "handler_check.shop",
        "handler_check.notices handler_check.orders",
        "client",
        "client.clock client.line",
        "tls journal connections meanings",
        "connections.limits connections.exchanges",
        "connections.transports",
        "web",
        "web.acs web.meter",
        "web.oauth web.payform web.api web.control web.cabinet web.reference",
        "web.panel web.door web.stream",
        "web.looks",
        "web.growing",
        "web.table web.guard web.forms web.cardform web.render web.faults web.views web.checks web.recipes web.queries",
        "desk",
        "desk.invoices desk.recipes desk.waits",
        "desk.timekeeper desk.payments desk.stories desk.sessions desk.worlds",
        "desk.comparisons desk.postlinks",
        "bank postlinks",
        "postlinks.letters",
        "postlinks.lines",
        "postlinks.roads postlinks.tries",
        "bank.links",
        "bank.checkouts bank.payments bank.operations",
        "bank.challenges bank.orders bank.scripts bank.notices",
        "bank.transactions",
        "bank.units",
        "bank.tokens bank.saved bank.merchants bank.statuses",
        "store.homes",
        "store.memory store.sql store.sql.sqlite store.sql.postgres",
        "store.sql.hold",
        "store.memory.work store.sql.work store.sql.pulse",
        "store.memory.agenda store.memory.world store.sql.worlds store.sql.clocks store.sql.migration store.sql.room",
        "store.sql.rows",
        "store.sql.bells store.sql.database store.sql.schema store.sql.statements",
        "wire.control",
        "wire.operations wire.orders wire.outgoing wire.spoilt wire.tokens",
        "wire.bodies wire.contracts wire.links",
        "wire.quick",
        "lz fake issuer addresses cryptogram answers receiver lines qr quoting workers",
        "store",
        "metrics",
        "store.codec store.memory.annals store.memory.orders store.search",
        "store.bounds store.memory.index store.memory.shelves",
        "store.memory.blocks",
        "store.shapes",
        "script",
        "clock dialects notes",
        "model resources",
        "settings",
        "records compact",
        "errors",
        "wire",  # holds nothing: its rooms are above
        "web.demo",  # at the bottom: an outsider, that meets the sandbox over HTTP as any shop does
    )
)

# Each package from elsewhere, and the modules it lives in.
HOMES: Final = {
    "asyncpg": {"store.sql.postgres"},
    "cryptography": {"cryptogram"},
    "faker": {"fake"},
    "httptools": {"connections", "postlinks.lines"},
    "msgspec": {"compact", "records", "store.memory.blocks"},
    "jinja2": {"web.demo", "web.recipes", "web.render"},
    "jsonschema": {"wire.contracts"},
    "markupsafe": {"web.render"},
    "pytest": {"pytest_plugin"},
    "python_multipart": {"web.forms"},
    "segno": {"qr"},
    "trustme": {"tls"},
    "starlette": {
        "web",
        "web.acs",
        "web.api",
        "web.cabinet",
        "web.control",
        "web.demo",
        "web.door",
        "web.faults",
        "web.growing",
        "web.guard",
        "web.looks",
        "web.meter",
        "web.oauth",
        "web.panel",
        "web.payform",
        "web.queries",
        "web.reference",
        "web.stream",
        "web.table",
    },
    "urllib3": {"client.line", "web.demo"},
    "uvicorn": {"server"},
    "yarl": {"addresses", "postlinks.letters"},
}

# What makes two runs differ: time that a world could not freeze, luck that a seed could not repeat.
MACHINE: Final = (
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "os.urandom",
    "random",
    "secrets",
    "time",
    "uuid.getnode",
    "uuid.uuid1",
    "uuid.uuid4",
)
MACHINE_USERS: Final = {
    "clock": {"datetime.now", "time"},
    "fake": {"secrets"},
    "web.demo": {"datetime.now", "secrets"},  # an outsider has a clock and secrets of its own
}


@cache
def _modules() -> dict[str, ast.Module]:
    """Return the package's modules by name; the package itself is the empty name."""
    return {_name(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Return the full names of what a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own(tree: ast.Module) -> set[str]:
    """Return the modules of ours that a module imports; what stands in the package itself is version and docstring."""
    known = _modules()
    names = {name.removeprefix(ROOT).removeprefix(".") for name in _imports(tree) if name.partition(".")[0] == ROOT}
    return {name if name in known else name.rpartition(".")[0] for name in names} - {""}


def _foreign(tree: ast.Module) -> set[str]:
    return {name.partition(".")[0] for name in _imports(tree)} - sys.stdlib_module_names - {ROOT}


def _machine(tree: ast.Module) -> set[str]:
    """Return which of `MACHINE` a module uses, imported whole or in part."""
    used = set(_imports(tree)) | {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {one for one in MACHINE if any(_stands_in(one, name) for name in used)}


def _stands_in(one: str, name: str) -> bool:
    return name == one or name.startswith(f"{one}.") or name.endswith(f".{one}")


def _row(module: str) -> int:
    return next(number for number, row in enumerate(ROWS) if module in row)


def test_each_module_stands_in_one_row() -> None:
    placed = sorted(module for row in ROWS for module in row)
    assert placed == sorted(_modules().keys() - {""})


@pytest.mark.parametrize("module", sorted(_modules().keys() - {""}))
def test_a_module_imports_only_from_rows_below_its_own(module: str) -> None:
    assert {other for other in _own(_modules()[module]) if _row(other) <= _row(module)} == set()


def test_the_package_itself_imports_nothing() -> None:
    assert list(_imports(_modules()[""])) == []


def test_each_package_from_elsewhere_has_its_home() -> None:
    found = {
        package: {module for module, tree in _modules().items() if package in _foreign(tree)}
        for package in {package for tree in _modules().values() for package in _foreign(tree)}
    }
    assert found == HOMES


def test_only_clock_and_fake_ask_the_machine() -> None:
    found = {module: _machine(tree) for module, tree in _modules().items()}
    assert {module: used for module, used in found.items() if used} == MACHINE_USERS


@pytest.mark.parametrize(
    ("text", "own", "foreign", "machine"),
    [
        ("import mock_epay", set(), set(), set()),
        ("from mock_epay import __version__, lz", {"lz"}, set(), set()),
        ("from mock_epay.bank import Bank, tokens", {"bank", "bank.tokens"}, set(), set()),
        ("import mock_epay.store.memory", {"store.memory"}, set(), set()),
        ("def late():\n    from mock_epay import server", {"server"}, set(), set()),
        ("import json, aiohttp.web\nfrom yarl import URL", set(), {"aiohttp", "yarl"}, set()),
        ("from datetime import datetime\ndatetime.now()", set(), set(), {"datetime.now"}),
        ("import datetime\ndatetime.datetime.now()", set(), set(), {"datetime.now"}),
        ("import time", set(), set(), {"time"}),
        ("from time import monotonic", set(), set(), {"time"}),
        ("from random import choice", set(), set(), {"random"}),
        ("from uuid import uuid4", set(), set(), {"uuid.uuid4"}),
        ("import uuid\nuuid.uuid4()", set(), set(), {"uuid.uuid4"}),
        ("from datetime import datetime\nfrom uuid import UUID\nwork.now, clock.now()", set(), set(), set()),
    ],
)
def test_what_the_rules_are_about_is_seen(text: str, own: set[str], foreign: set[str], machine: set[str]) -> None:
    tree = ast.parse(text)
    assert (_own(tree), _foreign(tree), _machine(tree)) == (own, foreign, machine)

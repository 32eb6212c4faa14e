"""How a sandbox is asked what a row of the table says, once or for as long as it is followed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from string import Formatter
from typing import Any, Final
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from mock_epay import lines
from mock_epay.client import CONTROL_TOKEN, EpayError, EpayServer, NotReachable
from mock_epay.commands.arguments import Facts
from mock_epay.commands.failures import CommandError
from mock_epay.commands.table import USUAL_MERCHANT, Command, Told

_UNAUTHORIZED: Final = 401
_SILENCE_S: Final = 60  # how long the line of events may be silent: the sandbox says a word every 15 seconds
_DATA: Final = b"data: "
_FOLLOWED: Final = "postlink."  # what the kinds of event begin with that are followed


@contextmanager
def sandbox(url: str) -> Iterator[EpayServer]:
    """Give the sandbox at an address, or one that is run meanwhile."""
    if url:
        with EpayServer(url) as server:
            yield server
        return
    from mock_epay.server import running  # noqa: PLC0415

    with running() as own, EpayServer(own.url, control_token="") as server:
        yield server


def answers(server: EpayServer, row: Command, given: Facts) -> Told:
    """Show what the sandbox answers, or what it tells for as long as it is followed."""
    facts = {"merchant": USUAL_MERCHANT} | dict(given)
    as_json = facts.pop("json", False)
    asked, shows = (_followed, lines.event) if facts.pop("follow", False) else (_asked, row.shows)
    for answer in asked(server, row, facts):
        yield from lines.as_json(answer) if as_json else shows(answer)


def why(wrong: EpayError, url: str) -> str:
    """Say in a line why something was not done, and what to do about it."""
    if isinstance(wrong, NotReachable):
        return f"there is no sandbox at {url}: start one with `mock-epay serve`, or say where it is with --url"
    said = " ".join(str(wrong).split())
    if wrong.status == _UNAUTHORIZED:
        return f"{said}; the variable {CONTROL_TOKEN} is sent"
    return f"is that mock-epay at {url}? {said}" if wrong.status and "message" not in wrong.answer else said


def _asked(server: EpayServer, row: Command, facts: Facts) -> Iterator[Any]:
    """Ask once, and return the answer."""
    method, _, path = row.asks.partition(" ")
    placed = {name for _, name, *_ in Formatter().parse(path) if name}
    rest = {name: fact for name, fact in facts.items() if name not in {"merchant", *placed}}
    address = path.format_map({name: quote(facts[name], safe="") for name in placed})
    if method == "GET":
        yield server.control(method, address, **rest)
    else:
        yield server.control(method, address, row.body(rest) or None)


def _followed(server: EpayServer, _: Command, facts: Facts) -> Iterator[Any]:
    """Return events as they happen. They end with the merchant's world, behind which a new one may have begun."""
    query = {name: fact for name, fact in facts.items() if name != "merchant"}
    while True:
        merchant = server.merchant(facts["merchant"])
        address = f"{server.url}/_control/merchants/{quote(merchant.client_id)}/events?{urlencode(query)}"
        yield from (event for event in _told(address) if event["kind"].startswith(_FOLLOWED))


def _told(address: str) -> Iterator[Any]:
    """Return what a stream of events tells until it ends.

    Raises:
        CommandError: it broke.

    """
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {os.environ.get(CONTROL_TOKEN, '')}"}
    opener = build_opener(ProxyHandler({}))  # as the client, which knows of no proxy either
    try:
        with opener.open(Request(address, headers=headers), timeout=_SILENCE_S) as answer:  # noqa: S310
            yield from (json.loads(line.removeprefix(_DATA)) for line in answer if line.startswith(_DATA))
    except (OSError, HTTPException) as wrong:
        raise CommandError(f"the sandbox has gone: {wrong!r}") from None

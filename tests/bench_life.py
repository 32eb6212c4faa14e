"""What lives of payments cost, beside the single requests of `bench`: payments, postlinks, memory.

Who loads the sandbox is this process, on a core of its own; it prepares all it can before the time that counts.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, cast
from urllib.parse import urlencode

import uvloop
from bench import LOAD_CORE, Server, credentials, started
from soak import OK, Books, Client, weight
from support import APPROVES

from mock_epay import lz

CLIENTS: Final = 16
PAYMENTS: Final = 2000
WARM: Final = 200
SHOPS: Final = 100
PATIENCE_S: Final = 60
RESTING: Final = ("-m", "mock_epay", "--port", "0", "--log", "none")


@dataclass(frozen=True)
class Row:
    """A figure, in words, and what it should be."""

    what: str
    is_: str
    goal: str


class Notices:
    """The transactions of which notices have come."""

    def __init__(self) -> None:
        self.of: list[str] = []
        self._wanted, self._all_here = 0, asyncio.Event()

    def take(self, transaction: str) -> None:
        """Take one in."""
        self.of.append(transaction)
        if len(self.of) >= self._wanted:
            self._all_here.set()

    async def come(self, count: int) -> None:
        """Wait until so many have come."""
        self._wanted = count
        if len(self.of) < count:
            self._all_here.clear()
            await asyncio.wait_for(self._all_here.wait(), PATIENCE_S)


class Shop(asyncio.Protocol):
    """One connection to a receiver, which takes what comes."""

    def __init__(self, taken: Notices) -> None:
        self._taken, self._got = taken, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].split()[0]):
            self._got = b""
            self._taken.take(json.loads(body)["id"])
            self._transport.write(OK)


async def open_shops(taken: Notices) -> list[str]:
    """Open receivers; return their addresses."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Shop(taken), "127.0.0.1", 0, backlog=512) for _ in range(SHOPS)]
    return [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/postlink" for one in servers]


async def side_by_side(port: int, jobs: Sequence[Callable[[Client], Awaitable[Any]]]) -> tuple[list[Any], float]:
    """Do jobs in their order, some at once; return what they came to and the seconds that took."""
    waiting, done = list(enumerate(jobs)), dict[int, Any]()
    waiting.reverse()

    async def work() -> None:
        client = Client(port, Books())
        while waiting:
            number, job = waiting.pop()
            done[number] = await job(client)
        client.close()

    began = perf_counter()
    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return [done[number] for number in range(len(jobs))], perf_counter() - began


async def pay_by_page(port: int) -> float:
    """Ask for tokens, open pages, pay, take the postlinks; return the payments a second. Packing is no part of it."""
    taken = Notices()
    links = await open_shops(taken)
    fields, kind = credentials(), "x-www-form-urlencoded"

    def token(number: int) -> Callable[[Client], Awaitable[Any]]:
        order = {"invoiceID": f"{number:09}", "amount": "100", "currency": "KZT", "postLink": links[number % SHOPS]}
        body = urlencode(fields | order).encode()
        return lambda client: client.ask("POST", "/oauth2/token", body, kind)

    def page(number: int, auth: Any) -> Callable[[Client], Awaitable[Any]]:
        order = {"invoiceId": f"{number:09}", "backLink": "https://example.kz/", "language": "rus", "auth": auth}
        order |= {"description": "Order", "terminal": fields["terminal"], "amount": 100, "currency": "KZT"}
        order["postLink"] = links[number % SHOPS]
        address = f"/payform/?params={lz.compress(lz.flatten(order))}"
        card = urlencode(APPROVES).encode()

        async def pay(client: Client) -> None:
            form = await client.ask("GET", address)
            (action,) = re.findall(rb'action="(/payform/[^"]+)"', form)
            await client.ask("POST", action.decode(), card, kind)

        return pay

    tokens, asking_s = await side_by_side(port, [token(number) for number in range(1, PAYMENTS + 1)])
    jobs = [page(number, auth) for number, auth in enumerate(tokens, 1)]
    began = perf_counter()
    await side_by_side(port, jobs)
    await taken.come(PAYMENTS)
    if len(set(taken.of)) != PAYMENTS:
        raise SystemExit(f"{PAYMENTS} payments, and notices of {len(set(taken.of))}")
    return PAYMENTS / (asking_s + perf_counter() - began)


async def make_world(client: Client, plan: str) -> str:
    """Begin a world whose clock stands still; return its address."""
    world = await client.ask("POST", "/_control/merchants", json.dumps({"plan": plan, "postlink_retry_s": []}).encode())
    place = f"/_control/merchants/{world['client_id']}"
    await client.ask("PUT", f"{place}/clock", b'{"freeze": true}')
    return place


def payments(place: str, links: Sequence[str], count: int) -> list[Callable[[Client], Awaitable[Any]]]:
    """Return payments without a browser, whose notices go to all shops in turn."""

    def payment(number: int) -> Callable[[Client], Awaitable[Any]]:
        facts = {"invoice_id": f"{number:09}", "amount": 100, "post_link": links[number % len(links)]}
        return lambda client: client.ask("POST", f"{place}/payments", json.dumps(facts).encode())

    return [payment(number) for number in range(1, count + 1)]


async def send_postlinks(server: Server) -> tuple[float, float]:
    """Let many notices fall due at once; return how many go out in a second, and how many kB a payment has left."""
    taken = Notices()
    links = await open_shops(taken)
    client = Client(server.port, Books())
    place = await make_world(client, "delay(1)")
    warm = payments(await make_world(client, "immediate"), links, WARM)
    await side_by_side(server.port, warm)  # what is imported with the first is no part of any other
    await taken.come(WARM)
    before = weight(server.process)
    await side_by_side(server.port, payments(place, links, PAYMENTS))
    await client.ask("PUT", f"{place}/clock", b'{"resume": true}')
    await taken.come(WARM + 1)
    began = perf_counter()
    await taken.come(WARM + PAYMENTS)
    took = perf_counter() - began
    client.close()
    return PAYMENTS / took, (weight(server.process) - before) * 1024 / PAYMENTS


def rows(bare_per_second: float) -> Iterator[Row]:
    """Measure, a fresh sandbox for each."""
    with loading(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with started(*RESTING) as server:
            idle = weight(server.process)
            per_second = runner.run(pay_by_page(server.port))
        share = per_second / bare_per_second
        yield Row(
            "payments by the pay page, with their postlinks", f"{per_second:,.0f} a second, {share:.4f}", "0.0250"
        )
        with started(*RESTING) as server:
            sent, kilobytes = runner.run(send_postlinks(server))
        yield Row("postlinks to 100 shops", f"{sent:,.0f} a second", "5,000")
        yield Row("memory at rest", f"{idle:.0f} MB", "70 MB")
        yield Row("memory for a payment with its postlink", f"{kilobytes:.1f} kB", "4 kB")


@contextmanager
def loading() -> Iterator[None]:
    """Keep this process off the sandbox's core."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)

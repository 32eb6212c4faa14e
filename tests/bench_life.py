"""What lives of payments cost, beside the single requests of `bench`: payments, postlinks, memory.

Who loads the sandbox is this process, on a core of its own; it prepares all it can before the time that counts.
"""

import asyncio
import json
import os
import re
import resource
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final, cast
from urllib.parse import urlencode

import uvloop
from bench import LOAD_CORE, SANDBOX, Server, Sizes, bare_rate, cases, credentials, measure, started
from bench_rows import Figure
from soak import OK, Books, Client, weight
from support import APPROVES

from mock_epay import lz

CLIENTS: Final = 16
WARM: Final = 200
SHOPS: Final = 100
DELAY_S: Final = 1
SILENT_SHOPS, HANGING = 125, 1000  # no shop has more than eight before it at once
PATIENCE_S: Final = 60


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


class Silence(asyncio.Protocol):
    """A shop that takes notices and says nothing."""

    def __init__(self, taken: Notices) -> None:
        self._taken = taken

    def data_received(self, data: bytes) -> None:
        if b"POST " in data:
            self._taken.take("")


async def open_shops(make: Callable[[], asyncio.Protocol], count: int) -> list[str]:
    """Open receivers; return their addresses."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(make, "127.0.0.1", 0, backlog=512) for _ in range(count)]
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


async def pay_by_page(port: int, numbers: range) -> float:
    """Ask for tokens, open pages, pay, take the postlinks; return the payments a second. Packing is no part of it."""
    count = len(numbers)
    taken = Notices()
    links = await open_shops(lambda: Shop(taken), SHOPS)
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

    tokens, asking_s = await side_by_side(port, [token(number) for number in numbers])
    jobs = [page(number, auth) for number, auth in zip(numbers, tokens, strict=True)]
    began = perf_counter()
    await side_by_side(port, jobs)
    await taken.come(count)
    if len(set(taken.of)) != count:
        raise SystemExit(f"{count} payments, and notices of {len(set(taken.of))}")
    return count / (asking_s + perf_counter() - began)


async def order(server: Server, method: str, path: str, body: Mapping[str, object]) -> Any:
    """Make a single request."""
    client = Client(server.port, Books())
    answer = await client.ask(method, path, json.dumps(body).encode())
    client.close()
    return answer


async def make_world(server: Server, plan: str) -> str:
    """Begin a world whose clock stands still, and whose shops may take their time; return its address."""
    facts = {"plan": plan, "postlink_retry_s": [], "postlink_timeout_s": 600}
    world = await order(server, "POST", "/_control/merchants", facts)
    place = f"/_control/merchants/{world['client_id']}"
    await order(server, "PUT", f"{place}/clock", {"freeze": True})
    return place


def paying(place: str, links: Sequence[str], numbers: range) -> list[Callable[[Client], Awaitable[Any]]]:
    """Return payments without a browser, whose notices go to all shops in turn."""

    def payment(number: int) -> Callable[[Client], Awaitable[Any]]:
        facts = {"invoice_id": f"{number:09}", "amount": 100, "post_link": links[number % len(links)]}
        return lambda client: client.ask("POST", f"{place}/payments", json.dumps(facts).encode())

    return [payment(number) for number in numbers]


async def warmed(server: Server, taken: Notices, links: Sequence[str]) -> str:
    """Pay a little in a world, or what is imported for that would count; return its address."""
    place = await make_world(server, "immediate")
    await side_by_side(server.port, paying(place, links, range(1, WARM + 1)))
    await taken.come(WARM)
    return place


async def send_postlinks(server: Server, count: int) -> float:
    """Let many notices fall due at once; return how many go out in a second."""
    taken = Notices()
    links = await open_shops(lambda: Shop(taken), SHOPS)
    await warmed(server, taken, links)
    place = await make_world(server, f"delay({DELAY_S})")
    await side_by_side(server.port, paying(place, links, range(count)))
    began = perf_counter() + DELAY_S
    await order(server, "PUT", f"{place}/clock", {"resume": True})
    await taken.come(WARM + count)
    return count / (perf_counter() - began)


async def weigh_payments(server: Server, count: int) -> float:
    """Return how many kB a payment leaves behind, with its events and its postlink."""
    taken = Notices()
    links = await open_shops(lambda: Shop(taken), SHOPS)
    place = await warmed(server, taken, links)
    before = weight(server.process)
    await side_by_side(server.port, paying(place, links, range(WARM + 1, WARM + count + 1)))
    await taken.come(WARM + count)
    return (weight(server.process) - before) * 1024 / count


async def hang(server: Server) -> None:
    """Pay at shops that take notices and never answer, until so many hang; they do as long as the loop is there."""
    taken = Notices()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    links = await open_shops(lambda: Silence(taken), SILENT_SHOPS)
    place = await make_world(server, "immediate")
    await side_by_side(server.port, paying(place, links, range(HANGING)))
    await taken.come(HANGING)


def payments(sizes: Sizes) -> Iterator[Figure]:
    """Measure whole payments."""
    bare = bare_rate()
    with sandbox() as (server, runner):
        rest = weight(server.process)
        runner.run(pay_by_page(server.port, range(1, WARM + 1)))  # or what is imported for that would count
        rate = runner.run(pay_by_page(server.port, range(WARM + 1, WARM + sizes.payments + 1)))
    yield Figure(key="payments", value=rate / bare, note=f"{rate:,.0f} a second")
    yield Figure(key="rest", value=rest)


def postlinks(sizes: Sizes) -> Iterator[Figure]:
    """Measure notices that fall due at the same moment."""
    with sandbox() as (server, runner):
        yield Figure(key="postlinks", value=runner.run(send_postlinks(server, sizes.payments)))


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Measure what payments leave behind."""
    with sandbox() as (server, runner):
        yield Figure(key="kept", value=runner.run(weigh_payments(server, 3 * sizes.payments)))


def hanging(sizes: Sizes) -> Iterator[Figure]:
    """Measure how long the slowest of a hundred tokens takes while notices hang, and while none do."""
    with sandbox() as (usual, _), sandbox() as (server, runner), tempfile.TemporaryDirectory() as place:
        runner.run(hang(server))
        token, same = (next(cases(one.url)) for one in (server, usual))
        ratios, slow = [], []
        for _ in range(sizes.rounds):
            without, found = (measure(case, sizes.seconds, Path(place)).slow_ms for case in (same, token))
            ratios.append(found / without)
            slow.append(found)
    yield Figure(key="hanging", value=median(ratios), note=f"{median(slow):.2f} ms for one in a hundred")


@contextmanager
def sandbox() -> Iterator[tuple[Server, "asyncio.Runner"]]:
    """Start a sandbox, and something to run what loads it in; that keeps off the sandbox's core."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    try:
        with started(*SANDBOX) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            yield server, runner
    finally:
        os.sched_setaffinity(0, usual)

"""Hours of trade in little: `make soak`, for so many MINUTES, 30 unless told.

Shops trade at 70 % of the most that the sandbox has shown it can do, each in a world that is made for it and dropped
when it has all its postlinks. Their receivers fail at random in every way they can. At the end no request may have gone
wrong, no postlink may be missing, the sandbox may not have grown, and must have nothing to complain of.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, Final, cast
from urllib.parse import urlencode

import uvloop
from support import SCOPE

from mock_epay import lz

SHARE: Final = 0.7
SHOPS: Final = 12
ORDERS: Final = 40  # of one shop, before its world is dropped
DOORS: Final = 8  # receivers; the sandbox is at each with a few notices at once
DECLINED: Final = "4000000000009995"
PATIENCE_S: Final = 30
MOST_GROWTH_MB: Final = 4.0
WARM: Final = 0.3  # part of the time after which nothing should grow any more
STARTING: Final = ["-m", "mock_epay", "--port", "0", "--log", "none"]
MERCHANT: Final = {"postlink_retry_s": [0.05] * 30, "postlink_timeout_s": 1}
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SORRY: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry"


@dataclass
class Books:
    """What has happened, as those outside know it."""

    paid: int = 0
    worlds: int = 0
    rounds: int = 0
    accepted: set[str] = field(default_factory=set)  # transactions
    heard: asyncio.Event = field(default_factory=asyncio.Event)  # that something was accepted
    tries: Counter[str] = field(default_factory=Counter)  # how receivers treated each try
    wrong: list[str] = field(default_factory=list)
    took: "array[float]" = field(
        default_factory=lambda: array("f")
    )  # seconds of each request: millions in half an hour
    weights: list[tuple[float, float]] = field(default_factory=list)  # moment and megabytes


class Door(asyncio.Protocol):
    """One connection to a receiver, which treats each notice as chance has it."""

    WAYS: Final = {"takes": 70, "is sorry": 10, "hangs up": 8, "breaks off": 5, "babbles": 4, "is slow": 2, "sleeps": 1}

    def __init__(self, books: Books, chance: random.Random) -> None:
        self.books, self.chance, self.got = books, chance, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].split()[0]):
            self.got = b""
            self.treat(json.loads(body)["id"])

    def treat(self, transaction: str) -> None:
        (way,) = self.chance.choices([*self.WAYS], [*self.WAYS.values()])
        self.books.tries[way] += 1
        loop = asyncio.get_running_loop()
        match way:
            case "takes":
                self.take(transaction)
            case "is slow":
                loop.call_later(0.2, self.take, transaction)
            case "sleeps":
                loop.call_later(1.5, self.transport.abort)
            case "is sorry":
                self.transport.write(SORRY)
            case "babbles":
                self.transport.write(b"SMTP at your service\r\n\r\n")
            case "hangs up":
                self.transport.close()
            case _:
                self.transport.write(OK[:12])
                self.transport.abort()

    def take(self, transaction: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(OK)
            self.books.accepted.add(transaction)
            self.books.heard.set()


class Client:
    """One connection to the sandbox, with no more HTTP than that takes: it must be quicker than the sandbox."""

    def __init__(self, port: int, books: Books) -> None:
        self.port, self.books = port, books
        self.lines: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = "json", bearer: str = "") -> Any:
        """Make a request and return its answer; one that is no success ends the shop."""
        if self.lines is None:
            self.lines = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.lines
        more = f"Authorization: Bearer {bearer}\r\n" if bearer else ""
        began = time.perf_counter()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].split()
        told = await reader.readexactly(int(length[0])) if length else b""
        self.books.took.append(time.perf_counter() - began)
        if head.split()[1] not in {b"200", b"201", b"204", b"303"}:
            raise SystemError(f"{method} {path}: {head.decode().splitlines()[0]}: {told.decode()[:300]}")
        return json.loads(told) if b"application/json" in head else told

    def close(self) -> None:
        if self.lines is not None:
            self.lines[1].close()
            self.lines = None


class Pace:
    """Lets as many rounds begin in a second as are wanted; all that come, at first."""

    def __init__(self) -> None:
        self.interval = 0.0
        self.next = 0.0

    async def turn(self) -> None:
        if self.interval:
            now = time.perf_counter()
            self.next = max(self.next + self.interval, now - 0.5)  # what was missed is made up for, within limits
            await asyncio.sleep(max(0.0, self.next - now))


async def trade(port: int, links: list[str], books: Books, pace: Pace, over: asyncio.Event) -> None:
    """Be one shop after the other, each with a world of its own, until it is over."""
    client = Client(port, books)
    for number in count():
        if over.is_set():
            break
        try:
            await one_world(client, links[number % len(links)], books, pace, over)
        except (OSError, EOFError, SystemError, TimeoutError, ValueError) as wrong:
            books.wrong.append(f"{type(wrong).__name__}: {wrong}"[:400])
            client.close()
    client.close()


async def one_world(client: Client, link: str, books: Books, pace: Pace, over: asyncio.Event) -> None:
    world = await client.ask("POST", "/_control/merchants", json.dumps(MERCHANT).encode())
    place = f"/_control/merchants/{world['client_id']}"
    bought: set[str] = set()
    for number in range(1, ORDERS + 1):
        if over.is_set():
            break
        await pace.turn()
        bought.add(await one_order(client, world, place, f"{number:09}", link))
        books.rounds += 1
    books.paid += len(bought)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not bought <= books.accepted:
                books.heard.clear()
                await books.heard.wait()
    if missing := bought - books.accepted:
        raise SystemError(f"{place}: nobody was told of {missing}")
    await noted(client, place)
    books.accepted -= bought
    await client.ask("DELETE", place)
    books.worlds += 1


async def noted(client: Client, place: str) -> None:
    """Wait until the sandbox knows what the shop does; it may have given up an answer that came late, and ask again."""
    for pause in (0.01, *[0.2] * (PATIENCE_S * 5)):
        queued = (await client.ask("GET", f"{place}/postlinks?state=queued"))["postlinks"]
        if not queued:
            return
        await asyncio.sleep(pause)
    raise SystemError(f"{place}: these were taken, and are still to go out: {queued}")


async def one_order(client: Client, world: dict[str, Any], place: str, number: str, link: str) -> str:
    """Do what a shop does for one order; return the transaction that a notice must tell of."""
    fields = {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client_id": world["client_id"],
        "client_secret": world["client_secret"],
        "terminal": world["terminal"],
    }
    order = {"invoiceID": number, "amount": "100", "currency": "KZT", "postLink": link}
    if number.endswith("0"):  # the dearest request by far, also for who makes it
        token = await client.ask("POST", "/oauth2/token", urlencode(fields | order).encode(), "x-www-form-urlencoded")
        page = {"invoiceId": number, "backLink": "https://example.kz/", "language": "rus", "auth": token}
        page |= {"description": "Order", "terminal": world["terminal"], "amount": 100, "currency": "KZT"}
        await client.ask("GET", f"/payform/?params={lz.compress(lz.flatten(page))}")
        number = f"{int(number) + 500_000:09}"
    payment = {"invoice_id": number, "amount": 100, "post_link": link}
    if number.endswith("5"):
        payment["card"] = DECLINED
    paid = await client.ask("POST", f"{place}/payments", json.dumps(payment).encode())
    token = await client.ask("POST", "/oauth2/token", urlencode(fields).encode(), "x-www-form-urlencoded")
    await client.ask("GET", f"/check-status/payment/transaction/{number}", bearer=token["access_token"])
    return str(paid["id"])


async def watch(process: int, books: Books, over: asyncio.Event) -> None:
    """Weigh the sandbox every second."""
    while not over.is_set():
        books.weights.append((time.perf_counter(), weight(process)))
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 1)


def weight(process: int) -> float:
    """Return the megabytes of memory that a process has."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def soak(port: int, process: int, seconds: float, seed: int) -> tuple[Books, float, float]:
    """Find out the most, then trade at a share of it; return the books, the most, and what it came to."""
    books, pace, over, chance = Books(), Pace(), asyncio.Event(), random.Random(seed)
    loop = asyncio.get_running_loop()
    doors = [await loop.create_server(lambda: Door(books, chance), "127.0.0.1", 0) for _ in range(DOORS)]
    links = [f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}/postlink" for door in doors]
    async with asyncio.TaskGroup() as tasks:
        for number in range(SHOPS):
            own = links[number % DOORS :] + links[: number % DOORS]
            tasks.create_task(trade(port, own, books, pace, over))
        tasks.create_task(watch(process, books, over))
        warming = min(20.0, seconds / 8)
        await asyncio.sleep(warming / 2)
        most = await rate(books, warming / 2)
        pace.interval = 1 / (SHARE * most)
        came_to = await rate(books, seconds - warming)
        over.set()
    for door in doors:
        door.close()
    return books, most, came_to


async def rate(books: Books, seconds: float) -> float:
    began, before = time.perf_counter(), books.rounds
    await asyncio.sleep(seconds)
    return (books.rounds - before) / (time.perf_counter() - began)


@contextmanager
def sandbox() -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run a sandbox; give its port and process."""
    with subprocess.Popen(
        [sys.executable, *STARTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        try:
            url = next(line.split()[-1] for line in one.stdout if "http://" in line)
            yield int(url.removesuffix("/demo").rpartition(":")[2]), one
        finally:
            one.kill()


def growth(weights: list[tuple[float, float]]) -> float:
    """Return by how many megabytes the sandbox has grown since it was warm, by the line through its weights."""
    start, end = weights[0][0], weights[-1][0]
    warm = [(moment, weight) for moment, weight in weights if moment - start > (end - start) * WARM]
    moments, megabytes = zip(*warm, strict=True)
    return float(linear_regression(moments, megabytes).slope * (moments[-1] - moments[0]))


def main() -> None:
    """Soak, tell, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    print(f"{chosen.minutes:g} minutes of trade, with chance {chosen.seed}", flush=True)  # noqa: T201
    with sandbox() as (port, process):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            books, most, came_to = runner.run(soak(port, process.pid, chosen.minutes * 60, chosen.seed))
        process.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        _, complaints = process.communicate(timeout=PATIENCE_S)
        ended_s = time.perf_counter() - began
    grown = growth(books.weights)
    took = sorted(books.took)
    print(  # noqa: T201
        f"orders      {books.rounds:,} in {books.worlds:,} worlds, {came_to:.0f} a second of {most:.0f} at most\n"
        f"requests    {len(took):,}, median {median(took) * 1000:.1f} ms, "
        f"99 % within {took[len(took) * 99 // 100] * 1000:.1f} ms\n"
        f"postlinks   {books.paid:,} in {sum(books.tries.values()):,} tries: {dict(books.tries)}\n"
        f"weight      {books.weights[0][1]:.1f} MB at first, {books.weights[-1][1]:.1f} MB at last, "
        f"{grown:+.1f} MB since it was warm\n"
        f"end         in {ended_s:.2f} s"
    )
    wrong = list(dict.fromkeys(books.wrong))[:10] + complaints.splitlines()[:20]
    if grown > MOST_GROWTH_MB:
        wrong.append(f"it has grown by more than {MOST_GROWTH_MB:g} MB")
    if not books.paid:
        wrong.append("nobody has bought anything")
    if wrong:
        raise SystemExit("\n".join(["", *wrong]))


if __name__ == "__main__":
    main()

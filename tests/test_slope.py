"""However many payments there are, a server's memory stays what it was: `PAYMENTS=1000000 pytest tests/test_slope.py`.

With PAYMENTS the server has its default limits; a run that is to end has lower ones.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from statistics import linear_regression, mean
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow

PAYMENTS: Final = int(os.environ.get("PAYMENTS", "0"))
FEW: Final = 6000
TOGETHER: Final = 8
AHEAD: Final = 64  # payments whose postlinks are still on their way
LOOKS: Final = 40
LOW: Final = ("--keep-transactions", "300", "--keep-events", "3000", "--keep-bodies", "300")
HIGH: Final = ("--keep-transactions", "999999999", "--keep-events", "999999999", "--keep-bodies", "999999999")

MOST_BYTES: Final = 1000  # for each payment; one that is kept takes some three times as many


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """Serve in a process of its own; give the address."""
    command = [sys.executable, "-m", "mock_epay", "--port", "0", "--log", "none", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield next(line.split()[-1] for line in process.stdout if "Cabinet" in line).rstrip("/")
        finally:
            process.terminate()
            process.communicate(timeout=10)


@asynccontextmanager
async def shop(ahead: asyncio.Semaphore) -> AsyncIterator[str]:
    """Run a shop that takes whatever comes, and lets somebody go ahead for it; give its address."""

    async def taken(request: web.Request) -> web.Response:
        await request.read()
        ahead.release()
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/postlink", taken)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/postlink"
    finally:
        await runner.cleanup()


async def gauges(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """Return what the server tells of itself, by name and labels."""
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def memory_while_paying(url: str, payments: int) -> tuple[list[tuple[int, float]], dict[str, float]]:
    """Pay so often; return how much memory there was after how many payments, and what the server tells at the end."""
    numbers, seen, ahead = count(1), [], asyncio.Semaphore(AHEAD)
    every = payments // LOOKS

    async def customer(http: aiohttp.ClientSession, post_link: str) -> None:
        while (number := next(numbers)) <= payments:
            await ahead.acquire()
            order = {"invoice_id": f"{number:09d}", "post_link": post_link}
            async with http.post(f"{url}/_control/merchants/test/payments", json=order) as answer:
                assert answer.status == 201, await answer.text()
            if number % every == 0:
                seen.append((number, (await gauges(http, url))["process_resident_memory_bytes"]))

    async with shop(ahead) as post_link, aiohttp.ClientSession() as http:
        await asyncio.gather(*(customer(http, post_link) for _ in range(TOGETHER)))
        while (told := await gauges(http, url))["mock_epay_postlinks_waiting"]:  # each look takes its time
            pass
        return sorted(seen), told


def bytes_for_each(seen: list[tuple[int, float]]) -> float:
    """Return how many bytes a payment costs, once the server has warmed up."""
    warm = seen[len(seen) // 2 :]
    return linear_regression(*zip(*warm, strict=True)).slope


def test_the_memory_of_a_server_does_not_grow_with_the_payments_it_has_taken() -> None:
    payments, flags = (PAYMENTS, ()) if PAYMENTS else (FEW, LOW)
    with serving(*flags) as url:
        seen, told = asyncio.run(memory_while_paying(url, payments))

    megabytes = [memory / 1e6 for _, memory in seen]
    cost = bytes_for_each(seen)
    print(f"{payments} payments: {cost:.0f} bytes for each, MB {[*map(round, megabytes)]}")  # noqa: T201
    assert told["mock_epay_kept transactions"] + told["mock_epay_forgotten transactions"] == payments
    assert told["mock_epay_forgotten transactions"] > payments / 2
    assert told["mock_epay_forgotten unsent"] == 0
    assert told["mock_epay_deliveries_total delivered"] == payments
    assert cost < MOST_BYTES, megabytes
    late = len(seen) // 4
    assert mean(megabytes[-late:]) < 1.1 * mean(megabytes[-2 * late : -late])


def test_it_would_be_seen_if_it_did() -> None:
    with serving(*HIGH) as url:
        seen, told = asyncio.run(memory_while_paying(url, FEW))

    assert told["mock_epay_kept transactions"] == FEW
    assert bytes_for_each(seen) > 2 * MOST_BYTES

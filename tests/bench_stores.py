"""What stores cost as they grow, and what each brings to a server: `make bench-stores`.

Milliseconds are of single calls of the bank, one after the other, without the sandbox's HTTP, in a store with so many
transactions of one merchant; payments per second are those of a server and its load on the same machine.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

import httpx
from databases import postgres
from support import new_merchant

from mock_epay.bank import Bank
from mock_epay.desk import invoices, payments
from mock_epay.desk.invoices import Search
from mock_epay.desk.payments import DirectPayment
from mock_epay.model import Card, Invoice, Payer, TokenRequest, Transaction
from mock_epay.notes import Notes
from mock_epay.settings import Settings
from mock_epay.store.homes import store_at

CARD: Final = Card(pan="4405639704015096", expiry="01/25", cvc="815")
BATCH: Final = 500
CALLS: Final = 200
UNLIMITED: Final = 10**9
LISTED: Final = 50

# Pays without a browser, each time at another of so many shops; wrk's own figures in one line.
PAY: Final = """
local paid = 0
request = function()
  paid = paid + 1
  return wrk.format("POST", "/_control/merchants/shop" .. paid %% %d .. "/payments",
    {["Content-Type"] = "application/json"}, '{"amount": 100}')
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %%d %%d %%d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@asynccontextmanager
async def bank_over(url: str) -> AsyncIterator[Bank]:
    """Open a bank with one merchant."""
    store = store_at(url)
    await store.open()
    await store.add_merchant(new_merchant("shop", keep_transactions=UNLIMITED, keep_events=UNLIMITED))
    try:
        yield Bank(store, Settings(seed="bench"))
    finally:
        await store.close()


def request(number: int) -> TokenRequest:
    """Return what a shop asks a token with."""
    merchant = new_merchant("shop")
    return TokenRequest(
        client_id="shop",
        client_secret=merchant.client_secret,
        scope="payment",
        invoice_id=f"{number:09d}",
        amount=Decimal(100),
        currency="KZT",
        terminal=merchant.terminals[0].id,
    )


async def pay(bank: Bank, number: int) -> Any:
    """Pay an order by all the steps of a shop and its customer."""
    order = {"invoiceId": f"{number:09d}", "amount": "100"}
    payment = DirectPayment(fields=order, card=CARD, payer=Payer())
    return await payments.pay(bank, new_merchant("shop"), payment)


async def grow(bank: Bank, least: int, most: int) -> None:
    """Multiply the first payment until there are so many."""
    pattern = await pay(bank, 1) if least == 0 else (await find(bank, 1))
    for start in range(max(least, 2), most, BATCH):
        async with bank.store.work("shop") as work:
            for number in range(start, start + BATCH):
                name = f"{number:09d}"
                work.save(
                    replace(pattern, id=f"transaction-{number}", invoice_id=name),
                    Invoice(number=name, tail=f"of {name}", tokens=1, paid_by=f"transaction-{number}"),
                )
                work.record("transaction.charged", name, transaction=f"transaction-{number}")


async def find(bank: Bank, number: int) -> Any:
    """Return the payment of an order."""

    async with bank.store.work("shop") as work:
        return (await work.find(Transaction, "invoice_id", f"{number:09d}"))[0]


async def timed(call: Callable[[int], Awaitable[object]], numbers: Iterable[int]) -> float:
    """Return the milliseconds that three of four calls take at least: the busy machine's share is in the others."""
    times = []
    for number in numbers:
        began = perf_counter()
        await call(number)
        times.append((perf_counter() - began) * 1000)
    return quantiles(times, n=4)[0]


async def measure(bank: Bank, size: int, fresh: int) -> dict[str, float]:
    """Return what the usual calls take in a store of this size; numbers from `fresh` on have not been used."""
    token = (await bank.issue_token(request(fresh), Notes()))[0].value
    spread = [2 + number * (size - 2) // CALLS for number in range(CALLS)]
    newest = Search(order="newest", limit=LISTED)

    async def listed(_: int) -> None:
        async with bank.store.work("shop") as work:
            await invoices.page(work, newest)

    return {
        "token": await timed(
            lambda number: bank.issue_token(request(number), Notes()), range(fresh + 1, fresh + CALLS)
        ),
        "payment": await timed(lambda number: pay(bank, number), range(fresh + 1000, fresh + 1000 + CALLS)),
        "status": await timed(lambda number: bank.status(token, f"{number:09d}"), spread),
        "list": await timed(listed, range(CALLS // 4)),
    }


async def growth(name: str, url: str, sizes: list[int]) -> None:
    """Print a row for each size, and how much more it takes than the first."""
    first: dict[str, float] = {}
    async with bank_over(url) as bank:
        for number, (before, size) in enumerate(pairwise([0, *sizes]), 1):
            await grow(bank, before, size)
            row = await measure(bank, size, 500_000_000 + 10_000 * number)
            first = first or row
            shown = "".join(f"{what:>9} {taken:7.3f} ms x{taken / first[what]:4.2f}" for what, taken in row.items())
            say(f"{name:11}{size:>10,}{shown}")


def payments_per_second(store: str, workers: int, merchants: int, seconds: int) -> float:
    """Load a server with customers of so many shops."""
    command = ["--port", "0", "--log", "none", "--store", store, "--workers", str(workers)]
    with started("-m", "mock_epay", *command) as url, tempfile.TemporaryDirectory() as place:
        for number in range(merchants):
            httpx.post(f"{url}/_control/merchants", json={"client_id": f"shop{number}"})
        script = Path(place, "pay.lua")
        script.write_text(PAY % merchants, "utf-8")
        load = ["wrk", "-t1", "-c16", "--timeout", "20s", f"-d{seconds}s", "-s", str(script), url]
        ended = subprocess.run(load, capture_output=True, text=True, check=True)
        paid, microseconds, errors = map(int, ended.stdout.rpartition("RESULT")[2].split())
    if errors:
        raise SystemExit(f"{errors} of {paid} went wrong")
    return paid / microseconds * 1e6


@contextmanager
def started(*command: str) -> Iterator[str]:
    """Start a server and read from its output where it is."""
    full = [sys.executable, *command]
    with subprocess.Popen(full, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.split()[-1] for line in process.stdout if "http://" in line).removesuffix("/demo")
        finally:
            process.terminate()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """Measure all stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--stores", nargs="*", default=["memory", "sqlite", "postgresql"])
    parser.add_argument("--seconds", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres(durable=True) as server:
        for name in asked.stores if asked.sizes else ():
            homes = {"memory": "", "sqlite": f"sqlite:///{folder}/store.db", "postgresql": server.new_database()}
            asyncio.run(growth(name, homes[name], asked.sizes))
        for merchants in (1, 16) if asked.seconds else ():
            for name, workers in (("memory", 1), ("sqlite", 1), ("sqlite", 2), ("postgresql", 1), ("postgresql", 2)):
                file = f"sqlite:///{folder}/{merchants}-{workers}.db"
                store = {"memory": "", "sqlite": file, "postgresql": server.new_database()}[name]
                rate = payments_per_second(store, workers, merchants, asked.seconds)
                say(f"{name:11}{workers} workers {merchants:>3} merchants {rate:6.0f} payments/s")


if __name__ == "__main__":
    main()

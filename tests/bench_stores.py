"""What stores cost as they grow, and what each brings to a server: `make bench-stores`, which fails if one grows.

Milliseconds are of single calls of the bank, one after the other, without the sandbox's HTTP, in a store with so many
transactions of one merchant; payments per second are those of a server and its load on the same machine.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from itertools import product
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, Final

import httpx
from databases import postgres
from support import new_merchant

from mock_epay.bank import Bank
from mock_epay.desk import invoices, payments
from mock_epay.desk.invoices import Search
from mock_epay.desk.payments import DirectPayment
from mock_epay.model import Card, Invoice, Payer, TokenRequest
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.settings import Settings
from mock_epay.store.homes import store_at

CARD: Final = Card(pan="4405639704015096", expiry="01/25", cvc="815")
BATCH: Final = 500
CALLS: Final = 60
ROUNDS: Final = 5
CALLED: Final = ("token", "payment", "status", "list")
MOST_TIMES: Final = 1.5
LEAST_MS: Final = 0.05
UNLIMITED: Final = 10**9
LISTED: Final = 50

Calls = Mapping[str, Callable[[int], Awaitable[object]]]

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


async def grow(bank: Bank, size: int) -> None:
    """Multiply the first payment until there are so many."""
    pattern = await pay(bank, 1)
    for start in range(2, size, BATCH):
        async with bank.store.work("shop") as work:
            for number in range(start, start + BATCH):
                name = f"{number:09d}"
                work.save(
                    replace(pattern, id=f"transaction-{number}", invoice_id=name),
                    Invoice(number=name, tail=f"of {name}", tokens=1, paid_by=f"transaction-{number}"),
                )
                work.record("transaction.charged", name, transaction=f"transaction-{number}")


async def usual_calls(bank: Bank, size: int, fresh: int) -> Calls:
    """Return the usual calls in a store of this size, each of a number; orders from `fresh` on have not been used."""
    access_token = (await bank.issue_token(request(fresh), Notes()))[0].value
    newest = Search(order="newest", limit=LISTED)

    async def listed(_: int) -> None:
        async with bank.store.work("shop") as work:
            await invoices.page(work, newest)

    return {
        "token": lambda number: bank.issue_token(request(fresh + 1 + number), Notes()),
        "payment": lambda number: pay(bank, fresh + 2 * CALLS + number),
        "status": lambda number: bank.status(access_token, f"{2 + number * (size - 2) // CALLS:09d}"),
        "list": listed,
    }


async def measure(stores: Mapping[int, Calls]) -> dict[int, dict[str, float]]:
    """Return the milliseconds that three of four calls take at least: the busy machine's share is in the others.

    The stores are asked in turns, so that each gets its part of that.
    """
    taken: dict[int, dict[str, list[float]]] = {size: {what: [] for what in CALLED} for size in stores}
    for what, number in product(CALLED, range(CALLS)):
        for size, calls in stores.items():
            began = perf_counter()
            await calls[what](number)
            taken[size][what].append((perf_counter() - began) * 1000)
    return {size: {what: quantiles(times, n=4)[0] for what, times in of.items()} for size, of in taken.items()}


async def growth(name: str, urls: Mapping[int, str]) -> list[str]:
    """Print a row for each size; return what grows more than it should."""
    rounds: list[dict[int, dict[str, float]]] = []
    async with AsyncExitStack() as stack:
        banks = {size: await stack.enter_async_context(bank_over(url)) for size, url in urls.items()}
        for size, bank in banks.items():
            await grow(bank, size)
        for number in range(ROUNDS):
            fresh = 500_000_000 + 10 * CALLS * (number + 1)
            rounds.append(await measure({size: await usual_calls(bank, size, fresh) for size, bank in banks.items()}))
    first, *_ = urls
    for size in urls:
        facts = {what: (median(one[size][what] for one in rounds), times(rounds, first, size, what)) for what in CALLED}
        shown = "".join(f"{what:>9} {taken:7.3f} ms x{more:4.2f}" for what, (taken, more) in facts.items())
        say(f"{name:11}{size:>10,}{shown}")
    return [f"{name}: {one}" for one in grown(rounds)]


def times(rounds: Sequence[Mapping[int, Mapping[str, float]]], first: int, size: int, what: str) -> float:
    """Return how many times as long something takes in a store of another size, by the rounds' median."""
    return median(one[size][what] / one[first][what] for one in rounds)


def grown(rounds: Sequence[Mapping[int, Mapping[str, float]]]) -> list[str]:
    """Return what takes more than it should in a larger store than the first: a line for each.

    It has to be so in most rounds, and by more than what a processor's caches make of it.
    """
    first, *larger = rounds[0]
    found = []
    for size, what in product(larger, CALLED):
        more = median(one[size][what] - one[first][what] for one in rounds)
        by = times(rounds, first, size, what)
        if by > MOST_TIMES and more > LEAST_MS:
            found.append(f"{what} takes {by:.2f} times as long with {size:,} as with {first:,} ({more:.3f} ms more)")
    return found


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
    too_much: list[str] = []
    with tempfile.TemporaryDirectory() as folder, postgres(durable=True) as server:

        def home(name: str, of: str) -> str:
            if name == "postgresql":
                return server.new_database()
            return {"memory": "", "sqlite": f"sqlite:///{folder}/{of}.db"}[name]

        for name in asked.stores if asked.sizes else ():
            too_much += asyncio.run(growth(name, {size: home(name, str(size)) for size in asked.sizes}))
        for merchants, name, workers in product((1, 16), asked.stores, (1, 2)) if asked.seconds else ():
            if workers == 1 or name != "memory":
                store = home(name, f"{merchants}-{workers}")
                rate = payments_per_second(store, workers, merchants, asked.seconds)
                say(f"{name:11}{workers} workers {merchants:>3} merchants {rate:6.0f} payments/s")
    if too_much:
        raise SystemExit("\n".join(too_much))


if __name__ == "__main__":
    main()

"""What stores cost as they grow, and what each brings to a server: `make bench-stores`.

Milliseconds are medians of single calls of the bank, one after the other; the sandbox's HTTP is not in them.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import Any, Final

from databases import postgres
from support import new_merchant

from mock_epay.bank import Bank
from mock_epay.desk import payments
from mock_epay.desk.payments import DirectPayment
from mock_epay.model import Card, Invoice, Payer, TokenRequest, Transaction
from mock_epay.notes import Notes
from mock_epay.settings import Settings
from mock_epay.store.homes import store_at

CARD: Final = Card(pan="4405639704015096", expiry="01/25", cvc="815")
BATCH: Final = 500
CALLS: Final = 200
UNLIMITED: Final = 10**9


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


async def timed(call: Callable[[int], Awaitable[object]], first: int, calls: int = CALLS) -> float:
    """Return the median milliseconds of a call."""
    times = []
    for number in range(first, first + calls):
        began = perf_counter()
        await call(number)
        times.append((perf_counter() - began) * 1000)
    return median(times)


async def measure(name: str, url: str, sizes: list[int]) -> None:
    """Print one row for each size."""
    async with bank_over(url) as bank:
        size = 0
        for number, wanted in enumerate(sizes):
            await grow(bank, size, wanted)
            size = wanted
            first = 500_100_000 + 10_000 * number
            token = (await bank.issue_token(request(first + 9_999), Notes()))[0].value
            row = {
                "token": await timed(lambda at: bank.issue_token(request(at), Notes()), first),
                "payment": await timed(lambda at: pay(bank, at), first + 1000),
                "status": await timed(lambda at, token=token: bank.status(token, f"{at:09d}"), 2),  # type: ignore[misc]
            }
            shown = "".join(f"{what:>10} {milliseconds:7.3f} ms" for what, milliseconds in row.items())
            print(f"{name:12}{wanted:>10,}{shown}", flush=True)  # noqa: T201


def main() -> None:
    """Measure all stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    sizes: list[int] = parser.parse_args().sizes
    with tempfile.TemporaryDirectory() as folder, postgres(durable=True) as server:
        homes = {"memory": "", "sqlite": f"sqlite:///{folder}/store.db", "postgresql": server.new_database()}
        for name, url in homes.items():
            asyncio.run(measure(name, url, sizes))


if __name__ == "__main__":
    main()

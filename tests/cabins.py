"""What tests of the cabinet share: a developer who is signed in, a world with many invoices, a line that can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final
from uuid import UUID

from playwright.sync_api import Locator, Page, expect
from worlds import World

from mock_epay import records
from mock_epay.model import Invoice, Transaction
from mock_epay.server import Sandbox

HOSTILE: Final = "</script><img src=x onerror=alert(1)> \"'`${7*7} {{ 7*7 }} \u202e"
_BATCH: Final = 1000


def home(url: str, world: World, path: str = "") -> str:
    """Return an address in a merchant's cabinet."""
    return f"{url}/cabinet/{world.client_id}{path}"


def sign_in(page: Page, url: str, world: World) -> None:
    """Sign in as the merchant of a world, without the page for it."""
    facts = {"email": world.facts["email"], "password": world.facts["password"]}
    answer = page.context.request.post(f"{url}/_control/session", data=facts)
    assert answer.status == 200, answer.text()


def enter(page: Page, url: str, world: World, path: str = "", state: str = "") -> None:
    """Sign in, and open a page of the cabinet."""
    sign_in(page, url, world)
    page.goto(home(url, world, path))
    expect(page.get_by_test_id("page")).to_have_attribute(
        "data-state", state or path.partition("?")[0].strip("/") or "list"
    )


def fill_world(sandbox: Sandbox, world: World, count: int) -> None:
    """Have `count` invoices paid, numbered from 000000001 on: one truly, the others after its likeness."""
    world.pay(invoice_id="000000001", description="Order 1")

    async def some(first: int, last: int) -> None:
        async with sandbox.bank.store.work(world.client_id) as work:
            (invoice, *_), (paid, *_) = await work.all(Invoice), await work.all(Transaction)
            for number in range(first, last):
                name = f"{number:09}"
                order = records.replace(
                    paid.order, invoice_id=name, amount=Decimal(100 + number), description=f"Order {number}"
                )
                like = records.replace(paid, id=str(UUID(int=number)), invoice_id=name, order=order, taken=order.amount)
                work.save(records.replace(invoice, number=name, tail=name[-6:], paid_by=like.id), like)
                work.record("transaction.charged", name, transaction=like.id)

    for first in range(2, count + 1, _BATCH):
        sandbox.do(some(first, min(first + _BATCH, count + 1)))


@dataclass
class Line:
    """A line to a server, at an address of its own, that can be cut and mended."""

    url: str
    whole: bool = True
    open: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Break all that goes over it, and let nothing new through."""
        self.whole = False
        for one in self.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let things through again."""
        self.whole = True


@contextmanager
def line(to: str) -> Iterator[Line]:
    """Lay a line to the server at an address."""
    host, port = to.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    laid = Line(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                if not laid.whole:
                    near.close()
                    continue
                far = socket.create_connection((host, int(port)))
                laid.open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield laid
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in laid.open:
            one.close()


def known(rows: Locator) -> list[str]:
    """Return the invoices whose rows a list shows."""
    return [str(row.get_attribute("data-id")) for row in rows.locator(".tr[data-id]").all()]

"""What is left when processes and databases die at bad moments. `make test-crash` kills `KILLS` times."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from databases import Postgres, full, postgres, small_disk
from support import Receiver, eventually, receiver

pytestmark = pytest.mark.slow

KILLS: Final = int(os.environ.get("KILLS", "4"))
# Longer than anything takes where there is nothing else to do: a busy machine may give a process a fiftieth of itself.
PATIENT_S: Final = 120
PAYERS: Final = 4
AMOUNT: Final = 100


@dataclass
class Server:
    """A sandbox in processes of its own that can be killed, always at the same address."""

    store: str
    workers: int = 1
    port: int = 0
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        # Nobody reads what it prints once it has started, and who prints into a full pipe waits.
        words = ["--port", str(self.port), "--store", self.store, "--workers", str(self.workers), "--log", "none"]
        command = [sys.executable, "-m", "mock_epay", *words, "--postlink-retry-s", "0.2,0.5,1,1,1,1,1,1"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.process.stdout
        assert any("http://" in line for line in self.process.stdout), "it did not start"

    def kill(self) -> None:
        """Kill it and its workers as the kernel does when memory is short."""
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._ended()
        eventually(self._gone, PATIENT_S)

    def end(self) -> None:
        assert self.process
        self.process.terminate()
        self._ended()

    def _ended(self) -> None:
        assert self.process
        assert self.process.stdout
        self.process.wait(PATIENT_S)
        self.process.stdout.close()

    def _gone(self) -> bool:
        """Tell whether the last of its processes has let go of the port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def ask(self, path: str) -> Any:
        return httpx.get(f"{self.url}/_control/merchants/test/{path}", timeout=PATIENT_S).raise_for_status().json()


@dataclass
class Load:
    """Customers who pay without end, one order after the other, and keep each receipt."""

    server: Server
    post_link: str
    paid: dict[str, str] = field(default_factory=dict)  # transaction by invoice
    refused: list[Any] = field(default_factory=list)  # what was said when the store failed
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    over: threading.Event = field(default_factory=threading.Event)
    payers: list[threading.Thread] = field(default_factory=list)

    def stop(self) -> None:
        self.over.set()
        for payer in self.payers:
            payer.join()

    def pay(self) -> None:
        with httpx.Client(timeout=10) as http:
            while not self.over.is_set():
                invoice_id = f"{next(self.numbers):09d}"
                order = {"invoice_id": invoice_id, "amount": AMOUNT, "post_link": self.post_link}
                with suppress(httpx.HTTPError):
                    answer = http.post(f"{self.server.url}/_control/merchants/test/payments", json=order)
                    if answer.is_success:
                        self.paid[invoice_id] = answer.json()["id"]
                    elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                        self.refused.append(answer.json())
                self.over.wait(0.002)


@contextmanager
def started(store: str, workers: int = 1) -> Iterator[Server]:
    """Run a server, and leave nothing of it behind."""
    server = Server(store, workers)
    server.start()
    try:
        yield server
        server.end()
    finally:
        server.kill()


@contextmanager
def loaded(server: Server, shop: Receiver) -> Iterator[Load]:
    """Load a server for as long as this lasts."""
    load = Load(server, f"{shop.url}/postlink")
    load.payers += [threading.Thread(target=load.pay) for _ in range(PAYERS)]
    for payer in load.payers:
        payer.start()
    try:
        yield load
    finally:
        load.stop()


def finish(server: Server, load: Load, shop: Receiver) -> None:
    """Let some more pay, then see that nothing was lost and nothing made up."""
    enough = len(load.paid) + 5
    eventually(lambda: len(load.paid) > enough, PATIENT_S)
    load.stop()
    eventually(lambda: not server.ask("postlinks?state=queued")["postlinks"], PATIENT_S)
    transactions = {one["id"]: one for one in server.ask("transactions")["transactions"]}
    charged = {key for key, one in transactions.items() if one["status"] == "CHARGE"}
    told = Counter(notice.body["id"] for notice in shop.notices)

    assert len(load.paid) > 0
    assert set(load.paid.values()) <= charged
    assert charged <= set(told), "a postlink was lost"
    assert set(told) <= charged, "a postlink tells of a payment that is not there"
    assert len({transactions[key]["invoice_id"] for key in charged}) == len(charged), "an order was paid twice"
    assert sum(transactions[key]["taken"] for key in charged) == AMOUNT * len(charged)
    events = Counter(one["kind"] for one in server.ask("events")["events"])
    assert events["transaction.charged"] == len(charged)
    assert events["token.issued"] >= len(charged)


@pytest.fixture
def shop() -> Iterator[Receiver]:
    with receiver() as got:
        yield got


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    """Run a PostgreSQL that keeps its word when it dies."""
    with postgres(durable=True) as server:
        yield server


def test_a_killed_process_loses_nothing_that_was_answered(tmp_path: Path, shop: Receiver) -> None:
    with started(f"sqlite:///{tmp_path}/store.db") as server, loaded(server, shop) as load:
        for _ in range(KILLS):
            load.over.wait(random.uniform(0.05, 0.8))
            server.kill()
            server.start()
        finish(server, load, shop)


def test_two_processes_killed_together_lose_nothing_either(durable: Postgres, shop: Receiver) -> None:
    with started(durable.new_database(), workers=2) as server, loaded(server, shop) as load:
        for _ in range(KILLS // 2):
            load.over.wait(random.uniform(0.05, 0.8))
            server.kill()
            server.start()
        finish(server, load, shop)


def test_a_worker_that_dies_is_replaced_and_what_it_had_claimed_is_delivered(durable: Postgres, shop: Receiver) -> None:
    with started(durable.new_database(), workers=2) as server, loaded(server, shop) as load:
        for _ in range(KILLS // 2):
            assert server.process
            load.over.wait(random.uniform(0.05, 0.8))
            eventually(lambda leader=server.process.pid: len(children(leader)) == 2, PATIENT_S)  # type: ignore[misc]
            victim = random.choice(children(server.process.pid))
            os.kill(victim, signal.SIGKILL)
            eventually(lambda gone=victim: gone not in children(server.process.pid), PATIENT_S)  # type: ignore[misc]
        finish(server, load, shop)


def children(process: int) -> list[int]:
    """Return the workers of a process that are alive."""
    listed = subprocess.run(
        ["ps", "-ww", "--ppid", str(process), "-o", "pid=,args="], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_database_that_stops_and_starts_is_found_again(
    durable: Postgres, shop: Receiver, how: signal.Signals
) -> None:
    with started(durable.new_database()) as server, loaded(server, shop) as load:
        for _ in range(max(1, KILLS // 4)):
            load.over.wait(random.uniform(0.1, 0.8))
            durable.stop(how)
            assert httpx.get(f"{server.url}/_control/merchants", timeout=PATIENT_S).status_code == 503
            durable.start()
            enough = len(load.paid) + 5
            eventually(lambda least=enough: len(load.paid) > least, PATIENT_S)  # type: ignore[misc]
        finish(server, load, shop)


@pytest.mark.parametrize("full_of", ["tables", "everything"])
def test_a_database_without_room_is_told_and_goes_on_once_there_is_some(shop: Receiver, full_of: str) -> None:
    tables = full_of == "tables"
    with small_disk(128) as disk, postgres(durable=True, disk=Path("/tmp") if tables else disk) as database:
        store = database.new_database(disk if tables else None)
        with started(store) as server, loaded(server, shop) as load:
            eventually(lambda: len(load.paid) > 5, PATIENT_S)
            with full(disk):
                eventually(lambda: len(load.refused) > 5, PATIENT_S)
                if tables:
                    assert "No space left on device" in load.refused[-1]["message"]
                    assert server.ask("transactions")["transactions"], "reading takes no room"
            if not database.alive:
                database.start()
            finish(server, load, shop)
        assert all("to have room" in refused["rule"] for refused in load.refused)

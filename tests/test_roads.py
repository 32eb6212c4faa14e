"""Where postlinks really go: other hosts, other places meant by localhost, only allowed ones; and many at once."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx
import pytest
from support import Receiver, eventually, new_merchant, receiver
from worlds import World, new_world

from mock_epay import addresses
from mock_epay.model import Delivery, DeliveryState
from mock_epay.postlinks.roads import Roads
from mock_epay.server import Sandbox, running
from mock_epay.settings import SettingError, Settings

ROUTES: Final = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0
"""
ELSEWHERE: Final = "127.0.0.2"


@contextmanager
def sandbox_with(**settings: str) -> Iterator[World]:
    """Run a sandbox with these settings, and give a world in it."""
    with running(Settings(port=0, **settings)) as sandbox, httpx.Client(base_url=sandbox.url) as http:  # type: ignore[arg-type]
        yield new_world(http, postlink_retry_s=[])


def tried(world: World, url: str) -> dict[str, object]:
    """Pay, and return the try to tell the shop."""
    paid = world.pay(post_link=url)
    eventually(lambda: bool(world.get("/postlinks", transaction_id=paid["id"])["postlinks"][0]["attempts"]))
    attempt: dict[str, object] = world.get("/postlinks", transaction_id=paid["id"])["postlinks"][0]["attempts"][0]
    return attempt


def port_of(got: Receiver) -> int:
    return int(got.url.rpartition(":")[2])


@contextmanager
def nowhere_but(host: str) -> Iterator[int]:
    """Run a shop on one of this machine's loopback addresses alone; return its port."""
    with socket.create_server((host, 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            with suppress(OSError):
                while not ended.is_set():
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_host_may_stand_for_another_and_keeps_its_name() -> None:
    with receiver() as shop, sandbox_with(postlink_hosts="Shop.example=127.0.0.1, other=localhost") as world:
        port = port_of(shop)
        attempt = tried(world, f"http://shop.example:{port}/a?b=1")
        assert (attempt["result"], attempt["url"]) == ("delivered", f"http://127.0.0.1:{port}/a?b=1")
        (notice,) = shop.wait(path="/a?b=1")
        assert notice.headers["Host"] == f"shop.example:{port}"
        assert tried(world, f"http://other:{port}/")["url"] == f"http://localhost:{port}/"


def test_the_default_port_is_not_said_of_a_host_that_stands_for_another() -> None:
    with sandbox_with(postlink_hosts="shop.example=127.0.0.1") as world:
        assert tried(world, "http://shop.example/")["url"] == "http://127.0.0.1/"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "shop.localhost"])
def test_localhost_may_be_elsewhere_too(name: str) -> None:
    elsewhere = f"127.0.0.3,{ELSEWHERE},127.0.0.4"
    with nowhere_but(ELSEWHERE) as port, sandbox_with(postlink_localhost=elsewhere) as world:
        attempt = tried(world, f"http://{name}:{port}/x")
        assert (attempt["result"], attempt["url"]) == ("delivered", f"http://{ELSEWHERE}:{port}/x")
        assert attempt["answer"] == "here"
        line = next(line for line in world.get("/invoices/000000001")["story"] if "took a postlink" in line)
        assert f"http://{ELSEWHERE}:{port}/x" in line


def test_what_nobody_takes_anywhere_was_refused_where_it_was_sent() -> None:
    with sandbox_with(postlink_localhost=ELSEWHERE) as world:
        attempt = tried(world, "http://localhost:9/")
        assert (attempt["result"], attempt["url"], attempt["headers"]) == ("refused", "http://localhost:9/", [])


def test_localhost_is_left_alone_where_somebody_answers_or_something_else_is_meant() -> None:
    with receiver() as shop, sandbox_with(postlink_localhost=ELSEWHERE) as world:
        assert tried(world, f"{shop.url}/")["url"] == f"{shop.url}/"
        assert tried(world, "http://127.0.0.1.example:9/")["result"] == "dns"


@pytest.mark.parametrize(
    ("allow", "host", "result"),
    [
        ("127.0.0.0/8", "127.0.0.1", "delivered"),
        ("127.0.0.0/8", "localhost", "delivered"),
        ("localhost", "localhost", "delivered"),
        ("localhost", "127.0.0.1", "blocked"),
        ("10.0.0.0/8, shop.example", "127.0.0.1", "blocked"),
        ("10.0.0.0/8, shop.example", "localhost", "blocked"),
        ("::1", "127.0.0.1", "blocked"),
        ("127.0.0.1", "127.0.0.1", "delivered"),
    ],
)
def test_a_shared_sandbox_sends_only_where_it_is_allowed(allow: str, host: str, result: str) -> None:
    with receiver() as shop, sandbox_with(postlink_allow=allow) as world:
        assert tried(world, f"http://{host}:{port_of(shop)}/")["result"] == result


def test_what_is_allowed_is_forbidden_all_the_same_where_secrets_are() -> None:
    with sandbox_with(postlink_allow="169.254.0.0/16", postlink_hosts="shop.example=169.254.169.254") as world:
        assert world.refused("POST", "/payments", {"post_link": "http://169.254.169.254/"})[0] == 400
        assert tried(world, "http://shop.example/")["result"] == "blocked"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("postlink_hosts", "shop"),
        ("postlink_hosts", "a=b=c"),
        ("postlink_hosts", "a b=c"),
        ("postlink_hosts", "=c"),
        ("postlink_allow", "x y"),
        ("postlink_allow", "http://shop"),
        ("postlink_allow", "10.0.0"),
        ("postlink_allow", "10.0.0.0/33"),
        ("postlink_allow", "10.0.0.1/8"),
        ("plan", "tomorrow"),
        ("foreign_key_card", "4111111111111111"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_clear_line(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=rf"^MOCK_EPAY_{name.upper()} \(--{name.replace('_', '-')}\)") as wrong:
        running(Settings(port=0, **{name: text})).__enter__()  # type: ignore[arg-type]
    assert "4111111111111111" not in str(wrong.value)


def test_the_default_gateway_is_in_the_table_of_routes() -> None:
    assert addresses.default_gateway(ROUTES) == "172.17.0.1"
    assert addresses.default_gateway("\n".join(ROUTES.splitlines()[:2])) is None
    assert addresses.default_gateway("") is None


def test_the_gateway_may_be_meant_by_localhost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "route"
    table.write_text(ROUTES, "ascii")
    monkeypatch.setattr("mock_epay.postlinks.roads._ROUTES", table)
    assert Roads(localhost="host.docker.internal, gateway").localhost == ["host.docker.internal", "172.17.0.1"]
    monkeypatch.setattr("mock_epay.postlinks.roads._ROUTES", tmp_path / "none")
    assert Roads(localhost="gateway").localhost == []


def test_the_headers_of_a_try_are_kept() -> None:
    with receiver() as shop, sandbox_with() as world:
        attempt = tried(world, shop.url)
        (notice,) = shop.wait()
        kept = {header["name"]: header["value"] for header in attempt["headers"]}  # type: ignore[attr-defined]
        assert kept == notice.headers
        assert kept["Content-Type"] == "application/json"
        assert int(kept["Content-Length"]) == len(notice.text.encode())


class Shops:
    """Many shops in one thread: each answers at once, or never; connections serve several notices, as real ones do."""

    def __init__(self, *, hanging: int, limit: int) -> None:
        self.heard: dict[int, int] = {}
        self.hanging, self.limit = hanging, limit
        self.connections: set[asyncio.BaseTransport] = set()
        self.opened = 0

    async def open(self, count: int) -> tuple[list[asyncio.Server], list[str]]:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(lambda number=number: Counter(self, number), "127.0.0.1", 0)  # type: ignore[misc]
            for number in range(count)
        ]
        return servers, [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/" for server in servers]

    async def close(self, servers: list[asyncio.Server]) -> None:
        for server in servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0)


class Counter(asyncio.Protocol):
    """One connection to a shop."""

    def __init__(self, shops: Shops, number: int) -> None:
        self.shops, self.number, self.served, self.got = shops, number, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.shops.connections.add(transport)
        self.shops.opened += 1

    def connection_lost(self, _: Exception | None) -> None:
        self.shops.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.got.endswith(b"}") or self.number < self.shops.hanging:
            return
        if self.served == self.shops.limit:
            self.transport.close()
            return
        last = b"connection: close" in self.got.lower()
        self.got = b""
        self.served += 1
        self.shops.heard[self.number] = self.shops.heard.get(self.number, 0) + 1
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if last:
            self.transport.close()


@contextmanager
def shops(count: int, *, hanging: int = 0, limit: int = 10**9) -> Iterator[tuple[Shops, list[str]]]:
    """Run shops in a loop of their own; each connection serves at most `limit` notices, and then hangs up."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = Shops(hanging=hanging, limit=limit)
    servers, urls = asyncio.run_coroutine_threadsafe(made.open(count), loop).result(10)
    yield made, urls
    asyncio.run_coroutine_threadsafe(made.close(servers), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def queue_all(sandbox: Sandbox, urls: list[str], count: int) -> None:
    """Queue so many notices for each shop, all at once."""

    async def queue() -> None:
        await sandbox.bank.store.add_merchant(new_merchant("busy", postlink_timeout_s=60))
        async with sandbox.bank.store.work("busy") as work:
            for number in range(count):
                for place, url in enumerate(urls):
                    name = f"{place:03}{number:06}"
                    work.save(
                        Delivery(
                            id=name,
                            invoice_id=name,
                            transaction_id="t",
                            url=url,
                            body=json.dumps({"id": name, "more": "x" * 800}).encode(),
                            queued_at=work.now,
                            due_at=work.now,
                        )
                    )

    sandbox.do(queue())


def test_of_a_hundred_shops_ten_that_hang_delay_nobody_else() -> None:
    with running(Settings(port=0)) as sandbox, shops(100, hanging=10) as (made, urls):
        start = perf_counter()
        queue_all(sandbox, urls, 100)
        eventually(lambda: sum(made.heard.values()) == 9000, patience_s=55)
        took = perf_counter() - start
        assert set(made.heard.values()) == {100}
        assert made.opened < 9000 / 2  # connections serve more than one
        assert took < 60  # before the first hanging shop is given up


def test_a_shop_that_closes_kept_connections_without_a_word_loses_nothing() -> None:
    with running(Settings(port=0)) as sandbox, shops(1, limit=3) as (made, urls):
        queue_all(sandbox, urls, 200)
        eventually(lambda: made.heard.get(0) == 200)

        async def states() -> set[tuple[DeliveryState, int]]:
            async with sandbox.bank.store.work("busy") as work:
                return {(one.state, one.tries) for one in await work.all(Delivery)}

        eventually(lambda: sandbox.do(states()) == {(DeliveryState.DELIVERED, 1)})

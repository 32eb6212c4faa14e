"""Shops whose answers are meant to harm: the check of their handler ends, stays small, and says what they did."""

import gzip
import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from browsing import Customer
from cabins import HOSTILE, enter, home
from playwright.sync_api import expect
from support import PATIENCE_S
from test_cli import MODULE, plain_environment
from test_cli import serving as process
from test_postlinks import drips, hangs, never_stops, resets, says
from worlds import World

from mock_epay import handler_check
from mock_epay.client import EpayServer
from mock_epay.handler_check import report
from mock_epay.handler_check.checks import CHECKS
from mock_epay.handler_check.judging import IN_TIME
from mock_epay.handler_check.shop import Asked
from mock_epay.server import Sandbox

__all__ = ["plain_environment"]  # a fixture for each test

Way = Callable[[socket.socket, threading.Event], None]

TIMEOUT_S: Final = 0.2
MOST_GROWTH_MB: Final = 40
START: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = START + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB: Final = gzip.compress(bytes(50_000_000))
MARKUP: Final = HOSTILE.encode()

SILENT: Final = f"gave no answer within {TIMEOUT_S} s to a notice of success"
NO_HTTP: Final = "answered a notice of success with what is no HTTP"
TOO_MUCH: Final = "answered 200 and more than is read in "
AWAY: Final = "answered 302 in "
DROPPED: Final = "dropped the connection at a notice of success"
WAYS: Final[dict[str, tuple[Way, str]]] = {
    "says nothing": (hangs, SILENT),
    "says a byte now and then": (drips, SILENT),
    "is about to answer, for ever": (never_stops(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), SILENT),
    "is busy, for ever": (never_stops(b"", b"HTTP/1.1 102 Busy\r\nX: " + b"x" * 4000 + b"\r\n\r\n"), SILENT),
    "sends blank lines": (never_stops(b"", b"\r\n" * 10_000), SILENT),
    "sends chunks of a byte": (never_stops(CHUNKED, b"1\r\nx\r\n" * 10_000), SILENT),
    "has much to say of a chunk": (never_stops(CHUNKED + b"1;", b"x" * 65_536), SILENT),
    "has a chunk without end": (never_stops(CHUNKED + b"f" * 16 + b"\r\n", b"x" * 65_536), TOO_MUCH),
    "has a body without end": (never_stops(START + b"\r\n", b"x" * 65_536), TOO_MUCH),
    "packs much into little": (says(START + b"Content-Encoding: gzip\r\n\r\n" + BOMB), TOO_MUCH),
    "has a status without end": (never_stops(b"HTTP/1.1 200 ", b"x" * 65_536), NO_HTTP),
    "has headers without end": (never_stops(START, b"X: y\r\n" * 10_000), NO_HTTP),
    "has a header without end": (never_stops(START + b"X: ", b"x" * 65_536), NO_HTTP),
    "has trailers without end": (never_stops(CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000), NO_HTTP),
    "has a chunk of no number": (says(CHUNKED + b"many\r\nok\r\n"), NO_HTTP),
    "has a length of no number": (says(START + b"Content-Length: -1\r\n\r\nok"), NO_HTTP),
    "has a length beyond all numbers": (says(START + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nok"), NO_HTTP),
    "has two lengths": (says(START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok"), NO_HTTP),
    "has less than its length": (says(START + b"Content-Length: 9\r\n\r\nok"), NO_HTTP),
    "leads to a cloud's secrets": (
        says(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"),
        AWAY,
    ),
    "breaks off": (resets, DROPPED),
    "leaves": (says(b""), DROPPED),
}


@contextmanager
def shop(*ways: Way) -> Iterator[str]:
    """Run a shop that treats each notice in another way, one after the other and from the first again."""
    turns, over = itertools.cycle(ways), threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while line := self.rfile.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self.rfile.read(length)
            with suppress(OSError):  # the sandbox has had enough
                next(turns)(self.connection, over)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/postlink"
        finally:
            over.set()
            server.shutdown()


@pytest.mark.parametrize(("way", "told"), WAYS.values(), ids=list(WAYS))
def test_what_a_hostile_shop_did_is_told(sandbox: Sandbox, way: Way, told: str) -> None:
    timeout_s = TIMEOUT_S if told is SILENT else PATIENCE_S
    with shop(way) as link, EpayServer(sandbox.url, control_token="") as server:
        asked = Asked(post_link=link, timeout_s=timeout_s)
        with closing(handler_check.verdicts(server, asked)) as verdicts:
            found = next(verdicts)
    assert found.state in {"failed", "not known"}
    assert found.why.startswith(told)
    assert found.notices[0].milliseconds < PATIENCE_S * 1000 / 2


def test_a_check_ends_and_stays_small_whatever_the_shop_does() -> None:
    with process(*MODULE, "--port", "0", "--log", "none") as bank, shop(*(way for way, _ in WAYS.values())) as link:
        with EpayServer(bank.url, control_token="") as server:
            with shop(says(START + b"Content-Length: 2\r\n\r\nok")) as usual:
                list(handler_check.verdicts(server, Asked(post_link=usual)))  # so that all is there that it takes
            before = _most_mb(bank.process.pid)
            began, longest = time.monotonic(), 0.0
            found = []
            for verdict in handler_check.verdicts(server, Asked(post_link=link, timeout_s=TIMEOUT_S)):
                asked = time.monotonic()
                assert httpx.get(f"{bank.url}/_control/health", timeout=PATIENCE_S).status_code == 200
                longest = max(longest, time.monotonic() - asked)
                found.append(verdict)
            took = time.monotonic() - began
        assert _most_mb(bank.process.pid) - before < MOST_GROWTH_MB
        assert longest < PATIENCE_S / 4
        assert bank.process.poll() is None
        bank.process.terminate()
        assert bank.process.communicate(timeout=PATIENCE_S)[1] == ""
    notices = sum(len(one.notices) for one in found)
    assert [one.name for one in found] == [*(check.name for check in CHECKS), IN_TIME]
    assert notices >= len(WAYS)
    assert took < notices * (TIMEOUT_S + 1)
    assert not report.safe(found)


def _most_mb(process_id: int) -> float:
    """Return the most megabytes of memory that a process has ever had."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.slow
def test_markup_that_a_shop_answers_with_is_text_in_the_cabinet(customer: Customer, world: World) -> None:
    page = customer.page()
    answer = (
        b"HTTP/1.1 500 " + MARKUP[:20] + b"\r\nContent-Type: text/html\r\nX-More: " + MARKUP[:-4].rstrip(b"\xe2\x80")
    )
    with shop(says(answer + b"\r\nContent-Length: %d\r\n\r\n" % len(MARKUP) + MARKUP)) as link:
        enter(page, customer.sandbox, world, "/handler")
        page.get_by_test_id("post_link").fill(link)
        page.get_by_test_id("start").click()
        expect(page.get_by_test_id("score")).to_have_count(len(CHECKS) + 1, timeout=60_000)
        expect(page.get_by_test_id("score").first).to_contain_text("500")
        (number, *_) = [one["invoice_id"] for one in world.get("/invoices")["invoices"]]
        page.goto(home(customer.sandbox, world, f"/invoices/{number}"))
        expect(page.get_by_test_id("page")).to_have_attribute("data-state", "invoice")
        page.wait_for_load_state("networkidle")
        for more in page.locator("details:not([open]) > summary").all():
            if more.is_visible():
                more.click()
        expect(page.get_by_test_id("answer").first).to_contain_text("</script><img src=x onerror=alert(1)>")
    assert page.locator("img[src=x]").count() == 0

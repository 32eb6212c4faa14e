"""How fast the sandbox answers, told as a share of what a bare application on the same server does: `make bench`.

Server and load each have a core of their own. A share is of the bare application's rate in the same round, because a
machine's speed changes from minute to minute. The bare application answers any request with 200 bytes and reads none.
With `--quick` it takes less than a minute, and fails if anything is much slower than it was.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import uvicorn
from bench_rows import Figure, again, as_text, in_order, picture
from support import SCOPE

from mock_epay import lz
from mock_epay.resources import table

BARE: Final = "bare application"
ANSWER: Final = b'{"message": "' + b"x" * 185 + b'"}'
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS: Final = 16
SANDBOX: Final = ("-m", "mock_epay", "--port", "0", "--log", "none")
# Who installs the sandbox has its byte code; without it each start would compile.
COMPILED: Final = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

# The same with no more imports than it needs, since they are what a start takes.
BARE_ALONE: Final = """
import socket, uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", lifespan="off", log_level="critical")
    uvicorn.Server(config).run([listener])
"""

# wrk's own figures in one line.
REPORT: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""

# Tests that do nothing, or pay and hear of it, with a fixture and without, and how long each took; of it, how long the
# sandbox was asked.
FIXTURE_TESTS: Final = """
import pytest

@pytest.mark.parametrize("number", range(TESTS))
def test_with(epay, number):
    pass

@pytest.mark.parametrize("number", range(TESTS))
def test_payment(epay, number):
    shop = epay.receiver()
    epay.pay(post_link=shop.url)
    shop.wait(1)

@pytest.mark.parametrize("number", range(TESTS))
def test_without(number):
    pass
"""
FIXTURE_TIMES: Final = """
import json
from pathlib import Path
from time import perf_counter

import pytest

from mock_epay.client import EpayServer

asked, times = [], []

class Timed(EpayServer):
    def control(self, *words, **more):
        began = perf_counter()
        try:
            return super().control(*words, **more)
        finally:
            asked.append(perf_counter() - began)

@pytest.fixture(scope="session")
def epay_server(epay_server):
    with Timed(epay_server.url) as server:
        yield server

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    asked.clear()
    began = perf_counter()
    done = yield
    times.append([item.originalname, perf_counter() - began, sum(asked)])
    return done

def pytest_unconfigure():
    Path("times.json").write_text(json.dumps(times))
"""


@dataclass(frozen=True)
class Case:
    """One kind of request, sent again and again; its name is one of `bench_rows.GOALS`."""

    name: str
    url: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def script(self) -> str:
        """Return the request in wrk's Lua, whose strings are written as in JSON as long as they are ASCII."""
        lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in self.headers.items()]
        if self.body:
            lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(self.body)}"]
        return "\n".join(lines) + REPORT


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, seconds of each request in a round, tests of the fixture, payments."""

    rounds: int
    seconds: int
    tests: int
    payments: int


def credentials() -> dict[str, str]:
    """Return what the test merchant says of itself in each request for a token."""
    merchant = table("merchants")["merchant"][0]
    return {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client_id": merchant["client_id"],
        "client_secret": merchant["client_secret"],
        "terminal": merchant["terminals"][0]["id"],
    }


def cases(url: str) -> Iterator[Case]:
    """Return what is measured of a sandbox, as the test merchant asks it."""
    fields = credentials()
    payment = fields | {"invoiceID": "000000001", "amount": "100", "currency": "KZT"}
    token = f"{url}/oauth2/token"
    yield Case("urlencoded", token, urlencode(payment), {"Content-Type": "application/x-www-form-urlencoded"})
    form = httpx.Request("POST", token, files={name: (None, text) for name, text in payment.items()})
    yield Case("multipart", token, form.read().decode(), {"Content-Type": form.headers["Content-Type"]})
    bearer = httpx.post(token, data=fields).raise_for_status().json()["access_token"]
    status = f"{url}/check-status/payment/transaction/000000001"
    yield Case("status", status, headers={"Authorization": f"Bearer {bearer}"})
    order = {
        "invoiceId": "000000002",
        "backLink": "https://example.kz/success.html",
        "postLink": "https://example.kz/postlink",
        "language": "eng",
        "description": "Order in a shop",
        "terminal": fields["terminal"],
        "amount": 100,
        "currency": "KZT",
        "auth": httpx.post(token, data=payment | {"invoiceID": "000000002"}).raise_for_status().json(),
    }
    yield Case("page", f"{url}/payform/?params={lz.compress(lz.flatten(order))}")


@dataclass(frozen=True)
class Answered:
    """How a server answered a case."""

    per_second: float
    median_ms: float
    slow_ms: float  # one in a hundred takes longer


def measure(case: Case, seconds: int, place: Path, connections: int = CONNECTIONS) -> Answered:
    """Load a server with one case."""
    script = place / "case.lua"
    script.write_text(case.script(), "utf-8")
    load = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), case.url]
    ended = subprocess.run(load, capture_output=True, text=True, check=True)
    requests, microseconds, middle, slow, errors = map(int, ended.stdout.rpartition("RESULT")[2].split())
    if errors:
        raise SystemExit(f"{case.name}: {errors} of {requests} went wrong")
    return Answered(requests / microseconds * 1e6, middle / 1000, slow / 1000)


@dataclass(frozen=True)
class Server:
    """A server that runs, and its process."""

    url: str
    process: int

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])


QUICK: Final = Sizes(rounds=3, seconds=1, tests=60, payments=500)
FULL: Final = Sizes(rounds=3, seconds=2, tests=300, payments=2000)


@contextmanager
def started(*command: str) -> Iterator[Server]:
    """Start a server on its core and read from its output where it is."""
    pinned = ["taskset", "-c", SERVER_CORE, sys.executable, *command]
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "env": COMPILED}
    with subprocess.Popen(pinned, stdout=subprocess.PIPE, text=True, **quiet) as process:
        assert process.stdout is not None
        try:
            url = next(line.split()[-1] for line in process.stdout if "http://" in line).removesuffix("/demo")
            yield Server(url, process.pid)
        finally:
            process.terminate()


def serve_bare() -> None:
    """Serve the application that everything is compared with."""

    async def app(_: Any, __: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", lifespan="off", **quiet)
        uvicorn.Server(config).run([listener])


def requests(sizes: Sizes) -> Iterator[Figure]:
    """Measure each case once in each round, the bare application before it."""
    answered: dict[str, list[Answered]] = {}
    shares: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place, bare_server() as bare, started(*SANDBOX) as sandbox:
        for _ in range(sizes.rounds):
            usual = measure(Case(BARE, bare.url), sizes.seconds, Path(place))
            for case in cases(sandbox.url):  # anew: behind so many tokens a round's own are forgotten
                found = measure(case, sizes.seconds, Path(place))
                answered.setdefault(case.name, []).append(found)
                shares.setdefault(case.name, []).append(found.per_second / usual.per_second)
    for name, row in answered.items():
        rate, middle = median(one.per_second for one in row), median(one.median_ms for one in row)
        note = f"{rate:,.0f} a second, median {middle:.2f} ms, from {min(shares[name]):.3f} to {max(shares[name]):.3f}"
        yield Figure(key=name, value=median(shares[name]), note=note)


def bare_server() -> AbstractContextManager[Server]:
    """Start the application that everything is compared with."""
    return started(__file__, "--serve-bare")


def bare_rate() -> float:
    """Return how many requests a second the bare application answers just now."""
    with tempfile.TemporaryDirectory() as place, bare_server() as bare:
        return measure(Case(BARE, bare.url), 1, Path(place)).per_second


def fixture(sizes: Sizes) -> Iterator[Figure]:
    """Measure what pytest's fixture costs a test, without a payment and with one; medians in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in (
            ("test_bench.py", FIXTURE_TESTS.replace("TESTS", str(sizes.tests))),
            ("conftest.py", FIXTURE_TIMES),
            ("pytest.ini", "[pytest]"),
        ):
            (place / name).write_text(text, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=place, stdout=subprocess.DEVNULL, check=True)
        times = json.loads((place / "times.json").read_text("utf-8"))
    bare = median(whole for name, whole, _ in times if name == "test_without")
    rows = [(whole - bare, asked, whole - bare - asked) for name, whole, asked in times if name == "test_with"]
    whole, asked, own = (median(column) * 1000 for column in zip(*rows, strict=True))
    paid = (median(whole for name, whole, _ in times if name == "test_payment") - bare) * 1000
    yield Figure(key="fixture", value=whole, note=f"{asked:.2f} of requests, {own:.2f} by itself")
    yield Figure(key="paying", value=paid)


def start(sizes: Sizes) -> Iterator[Figure]:
    """Measure how long it takes from the start of the process to the first token, and of the bare application."""
    times: dict[str, list[float]] = {BARE: [], "sandbox": []}
    for _ in range(sizes.rounds * 3):
        for name, command in ((BARE, ("-c", BARE_ALONE)), ("sandbox", SANDBOX)):
            began = perf_counter()
            with started(*command) as server:
                httpx.post(f"{server.url}/oauth2/token", data=credentials()).raise_for_status()
                times[name].append((perf_counter() - began) * 1000)
    bare, sandbox = (median(row) for row in times.values())
    ratio = median(own / bare for bare, own in zip(*times.values(), strict=True))
    yield Figure(key="start", value=ratio, note=f"{sandbox:.0f} ms, the bare application {bare:.0f} ms")


def main() -> None:
    """Measure, print, and keep the figures if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little, and fail if anything is below its floor")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--svg", type=Path, help="file for a picture of them")
    parser.add_argument("--serve-bare", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve_bare:
        serve_bare()
        return
    import bench_life  # noqa: PLC0415  (it is made of parts of this)

    sizes = QUICK if chosen.quick else FULL
    measures = (
        requests,
        bench_life.payments,
        bench_life.postlinks,
        bench_life.memory,
        bench_life.hanging,
        start,
        fixture,
    )
    figures = in_order(again([partial(measure, sizes) for measure in measures]))
    print(as_text(figures))  # noqa: T201
    if chosen.json:
        chosen.json.write_text(json.dumps([one.facts() for one in figures], indent=2) + "\n", "utf-8")
    if chosen.svg:
        chosen.svg.write_text(picture(figures), "utf-8")
    if chosen.quick and (slow := [one.goal.what for one in figures if not one.holds]):
        raise SystemExit(f"much slower than it was: {', '.join(slow)}")


if __name__ == "__main__":
    main()

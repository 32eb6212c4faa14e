"""What Prometheus is told, read as Prometheus reads it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support import Receiver, eventually
from worlds import CONTROL, TROUBLE, new_world

from mock_epay import __version__
from mock_epay.metrics import Histogram, Metrics
from mock_epay.server import running
from mock_epay.settings import Settings
from mock_epay.store.bounds import Kept, Tally

TALLY = Tally(
    worlds=2,
    transactions=Kept(kept=3, forgotten=1),
    events=Kept(kept=9),
    bodies=Kept(),
    waiting=Kept(kept=4, forgotten=5),
)


@pytest.fixture
def own() -> Iterator[httpx.Client]:
    """Give a client of a sandbox that nobody else asks anything."""
    with running() as sandbox, httpx.Client(base_url=sandbox.url) as http:
        yield http


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def told(http: httpx.Client) -> dict[str, Metric]:
    return families(http.get("/metrics").raise_for_status().text)


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """Return the value of a sample, whose labels are these among others; 0 if there is none."""
    samples = [sample for family in found.values() for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_requests_are_counted_by_route_and_status(own: httpx.Client) -> None:
    world = new_world(own)
    tokens = [world.token(invoiceID=f"{number:09d}", amount=100) for number in range(1, 4)]
    world.token(invoiceID="1", amount=100)
    bearer = {"Authorization": f"Bearer {tokens[0].json()['access_token']}"}
    for number in range(2):
        own.get(f"/api/check-status/payment/transaction/{number:09d}", headers=bearer)
    own.get("/payform/static/payform.css")
    own.get("/wp-login.php")
    own.get("/metrics", headers={"Host": "evil.example"})

    found = told(own)

    def answers(route: str, status: int) -> float:
        return value(found, "mock_epay_requests_total", route=route, status=str(status))

    assert (answers("/oauth2/token", 200), answers("/oauth2/token", 400)) == (3, 1)
    assert answers("/api/check-status/payment/transaction/{invoice_id}", 200) == 2
    assert value(found, "mock_epay_requests_total", route="/payform/static/{path}") == 1
    assert answers("none", 404) == 1
    assert answers("/metrics", 403) == 1
    assert answers(f"{CONTROL}/merchants", 201) == 1
    assert value(found, "mock_epay_request_seconds_count", route="/oauth2/token") == 4
    assert value(found, "mock_epay_request_seconds_bucket", route="/oauth2/token", le="+Inf") == 4
    assert 0 < value(found, "mock_epay_request_seconds_sum", route="/oauth2/token") < 4
    assert all("worker" not in sample.labels for family in found.values() for sample in family.samples)


def test_payments_and_postlinks_are_counted_by_what_became_of_them(own: httpx.Client, shop_server: Receiver) -> None:
    world = new_world(own, postlink_retry_s=[])
    path = f"/{world.client_id}"
    shop_server.answers[path] = [200, 503]
    for number, card in enumerate(("4405639704015096", "4405639704015096", "4003032704547597"), start=1):
        world.pay(invoice_id=f"{number:09d}", card=card, post_link=f"{shop_server.url}{path}")
        shop_server.wait(number, path)
    world.pay(invoice_id="000000004", post_link=TROUBLE)

    def tries() -> dict[str, float]:
        results = ("delivered", "status 503", "refused")
        return {result: value(told(own), "mock_epay_deliveries_total", result=result) for result in results}

    eventually(lambda: sum(tries().values()) == 4)
    assert tries() == {"delivered": 2, "status 503": 1, "refused": 1}
    found = told(own)
    assert value(found, "mock_epay_payments_total", outcome="charged") == 3
    assert value(found, "mock_epay_payments_total", outcome="declined") == 1
    assert value(found, "mock_epay_shop_seconds_count") == 4
    assert value(found, "mock_epay_events_total", kind="postlink.failed") == 2
    assert value(found, "mock_epay_kept", what="transactions") == 4
    assert value(found, "mock_epay_postlinks_waiting") == 0


def test_sizes_and_the_process_are_told(own: httpx.Client) -> None:
    world = new_world(own, keep_transactions=10, plan="on_release")
    for number in range(1, 13):
        world.pay(invoice_id=f"{number:09d}")

    found = told(own)

    assert value(found, "mock_epay_info", version=__version__) == 1
    assert value(found, "mock_epay_kept", what="transactions") == 10
    assert value(found, "mock_epay_forgotten", what="transactions") == 2
    assert value(found, "mock_epay_kept", what="events") == len(world.get("/events")["events"])
    assert value(found, "mock_epay_worlds") == len(own.get(f"{CONTROL}/merchants").json()["merchants"])
    assert 20e6 < value(found, "process_resident_memory_bytes") < 2e9
    assert value(found, "process_cpu_seconds_total") > 0
    assert value(found, "process_start_time_seconds") > 1.7e9


def test_the_answer_is_of_the_type_that_prometheus_reads(own: httpx.Client) -> None:
    assert own.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_the_control_token_is_asked_for_where_there_is_one() -> None:
    with running(Settings(port=0, control_token="hush")) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        assert http.get("/metrics").status_code == 401
        assert http.get("/metrics", headers={"Authorization": "Bearer hush"}).status_code == 200


def test_a_page_of_another_site_is_told_nothing(own: httpx.Client) -> None:
    assert own.get("/metrics", headers={"Origin": "https://evil.example"}).status_code == 403
    assert own.get("/metrics", headers={"Host": "evil.example"}).status_code == 403


def test_a_histogram_counts_in_every_bound_that_holds() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)

    samples = {behind + labels.get("le", ""): number for behind, labels, number in histogram.samples({})}
    assert samples == {"_bucket0.1": 2, "_bucket1.0": 3, "_bucket+Inf": 4, "_sum": 7.65, "_count": 4}


def test_what_stands_in_labels_comes_through_whole() -> None:
    metrics = Metrics(worker="7")
    odd = 'a "quoted" \\ one\nin two lines, with } and ,'
    metrics.tried(odd, 0.1)

    found = families(metrics.text(TALLY))

    assert value(found, "mock_epay_deliveries_total", result=odd, worker="7") == 1
    assert value(found, "mock_epay_postlinks_waiting") == 4
    assert value(found, "mock_epay_forgotten", what="unsent") == 5
    assert value(found, "process_resident_memory_bytes", worker="7") > 0


@contextmanager
def _serving(*flags: str) -> Iterator[str]:
    """Serve in processes of their own; give the address."""
    command = [sys.executable, "-m", "mock_epay", "--port", "0", "--log", "none", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield next(line.split()[-1] for line in process.stdout if "Cabinet" in line).rstrip("/")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)


def test_of_several_workers_each_says_which_it_is_and_all_know_the_same_sizes(tmp_path: Path) -> None:
    with _serving("--workers", "2", "--store", f"sqlite:///{tmp_path}/store.db") as url:
        with httpx.Client(base_url=url) as http:
            world = new_world(http)
            world.pay()
        seen: dict[str, dict[str, Metric]] = {}
        quiet = threading.Event()
        for _ in range(200):
            found = families(httpx.get(f"{url}/metrics").text)  # on a connection of its own, which either may take
            (worker,) = {sample.labels["worker"] for sample in found["process_cpu_seconds"].samples}
            seen[worker] = found
            if len(seen) == 2:
                break
            quiet.wait(0.01)

    assert len(seen) == 2
    assert sum(value(found, "mock_epay_payments_total", outcome="charged") for found in seen.values()) == 1
    assert {value(found, "mock_epay_kept", what="transactions") for found in seen.values()} == {1}

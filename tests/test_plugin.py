"""The fixtures, in runs of pytest that have nothing of this one's."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

from mock_epay.client import EpayServer
from mock_epay.server import running
from mock_epay.settings import Settings

PATIENCE_S: Final = 120
# Plugins of this checkout's that take seconds to import.
OTHERS: Final = [
    part for name in ("anyio", "hypothesispytest", "pytest_cov", "schemathesis") for part in ("-p", f"no:{name}")
]
INI: Final = "[pytest]\naddopts = -p no:cacheprovider --strict-config --strict-markers\nfilterwarnings = error\n"


def _environment(*, measured: bool = True) -> dict[str, str]:
    ours = ("PYTEST_", "MOCK_EPAY_", *(() if measured else ("COV",)))
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}


def _pytest(place: Path, files: dict[str, str], *options: str, ini: str = "", measured: bool = True) -> tuple[str, str]:
    """Run pytest on files; return the last line, which counts, and all of its output.

    Measured is what the fixtures do, if this run is; many payments take long then.
    """
    for name, text in {"pytest.ini": INI + ini, **files}.items():
        (place / name).write_text(dedent(text), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", *OTHERS, *options]
    done = subprocess.run(
        command,
        cwd=place,
        env=_environment(measured=measured),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    counts = re.sub(r" in [0-9.]+s.*", "", done.stdout.strip().rpartition("\n")[2])
    return counts, done.stdout


@contextmanager
def _sandbox_elsewhere(*flags: str) -> Iterator[str]:
    """Run a sandbox in another process."""
    command = [sys.executable, "-m", "mock_epay", "serve", "--port", "0", *flags]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.split()[-1] for line in process.stdout if "/demo" in line).removesuffix("/demo")
        finally:
            process.terminate()


PAYMENTS: Final = """
    import pytest

    @pytest.mark.parametrize("number", range(200))
    def test_payment(epay, number, record_property):
        receiver = epay.receiver()
        invoice_id = epay.invoice_id()
        epay.token(invoice_id, amount=number + 1, post_link=receiver.url)
        if number % 3 == 0:
            epay.decline_next()
        paid = epay.pay(invoice_id)
        assert (invoice_id, paid.amount) == ("000000001", number + 1)
        assert epay.wait_for_postlink().body["code"] == ("error" if number % 3 == 0 else "ok")
        assert [notice.body["amount"] for notice in receiver.notices] == [number + 1]
        with open(f"paid-{number}", "a") as kept:
            print(epay.client_id, epay.client_secret, epay.terminal, paid.id, paid.reference, paid.name, file=kept)
"""
REVERSED: Final = """
    def pytest_collection_modifyitems(items):
        items.reverse()
"""


def test_two_hundred_payments_pass_side_by_side_in_any_order_and_are_the_same_each_time(tmp_path: Path) -> None:
    files = {"test_shop.py": PAYMENTS}
    for more in ({}, {"conftest.py": REVERSED}):
        counts, output = _pytest(tmp_path, files | more, "-n", "4", measured=False)
        assert counts == "200 passed", output
    kept = [path.read_text("utf-8").splitlines() for path in tmp_path.glob("paid-*")]
    assert len(kept) == 200
    assert all(first == second for first, second in kept)
    assert len({first for first, _ in kept}) == 200


def test_a_decision_that_no_payment_used_fails_a_test_that_passed_otherwise(tmp_path: Path) -> None:
    shop = """
        import pytest

        def test_forgets(epay):
            epay.decline_next(484, times=2)
            epay.pay()

        def test_fails_itself(epay):
            epay.decline_next(485)
            assert 1 == 2

        def test_is_skipped(epay):
            epay.decline_next(486)
            pytest.skip("for now")

        @pytest.mark.xfail
        def test_is_known_to_fail(epay):
            epay.decline_next(487)
            assert 1 == 2

        def test_clears(epay):
            epay.decline_next(488)
            epay.clear_script()

        def test_forgets_with_the_test_merchant(epay_test_merchant):
            epay_test_merchant.decline_next(489)
    """
    counts, output = _pytest(tmp_path, {"test_shop.py": shop})
    assert counts == "1 failed, 3 passed, 1 skipped, 1 xfailed, 2 errors", output
    assert "ERROR at teardown of test_forgets _" in output
    assert "ERROR at teardown of test_forgets_with_the_test_merchant" in output
    told = output.partition("the script has decisions that no payment has used:")[2]
    assert '"reason_code": 484' in told
    assert '"left": 1' in told
    assert [f'"reason_code": {code}' in output for code in (485, 486, 487, 488, 489)] == [False] * 4 + [True]


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_test_that_fails_tells_what_happened_in_its_world(tmp_path: Path, options: tuple[str, ...]) -> None:
    shop = """
        import pytest

        def test_of_a_shop(epay):
            epay.pay("000123456", card="4000000000009995")
            epay.pay("000123457")
            assert epay.transaction().status == "CHARGED"

        def test_of_a_wait_in_vain(epay):
            epay.pay("000222222")
            epay.wait_for_postlink(timeout_s=0)

        def test_of_another(epay):
            epay.pay("000654321")

        def test_of_a_shop_that_does_nothing(epay):
            assert not epay

        def test_of_a_world_that_is_gone(epay):
            epay.drop()
            assert not epay

        @pytest.fixture
        def broken(epay):
            epay.pay("000111111")
            assert not epay

        def test_of_a_fixture(broken):
            pass

        def test_without_a_world():
            assert 1 == 2
    """
    counts, output = _pytest(tmp_path, {"test_shop.py": shop}, *options)
    assert counts == "5 failed, 1 passed, 1 error", output
    sections = output.split("- mock-epay -")[1:]
    assert len(sections) == 5
    stories = "\n".join(section.partition("\n____")[0] for section in sections)
    for text in ("000123456", "484", "000123457", "000111111", "nothing happened", "the story is lost: "):
        assert text in stories
    assert "000654321" not in output
    assert ">       epay.wait_for_postlink(timeout_s=0)\nE       mock_epay.client.NotInTime: no postlink" in output
    assert "mock_epay/client/" not in output


def test_what_one_test_leaves_behind_never_reaches_the_next(tmp_path: Path) -> None:
    # The application's address and its order numbers are the same in all tests, as they often are. It is slow, and
    # refuses everything: when a test ends there is a retry on its way.
    shop = """
        import json
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        import pytest

        heard, busy = [], threading.Event()

        class Application(BaseHTTPRequestHandler):
            def do_POST(self):
                busy.wait(0.005)
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["amount"])
                self.send_response(500)
                self.end_headers()

            def log_message(self, *_):
                pass

        @pytest.fixture(scope="session")
        def application():
            with ThreadingHTTPServer(("127.0.0.1", 0), Application) as server:
                threading.Thread(target=server.serve_forever).start()
                yield f"http://127.0.0.1:{server.server_port}/"
                server.shutdown()

        @pytest.fixture
        def epay_facts():
            return {"postlink_retry_s": [0.001] * 20}

        @pytest.mark.parametrize("number", range(25))
        def test_shop(epay, application, number):
            before = len(heard)
            for order in range(4):
                epay.pay(f"{order:09}", amount=number + 1, post_link=application)
            for _ in range(3):
                epay.wait_for("postlink.failed", after=epay.events()[-1].number)
            assert set(heard[before:]) == {number + 1}
    """
    counts, output = _pytest(tmp_path, {"test_shop.py": shop})
    assert counts == "25 passed", output


def test_the_test_merchant_is_new_in_each_test(tmp_path: Path) -> None:
    shop = """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_shop(epay_test_merchant, epay_server, number):
            assert epay_test_merchant.client_id == "test"
            assert epay_test_merchant.transactions() == []
            epay_test_merchant.pay("000000001")
            assert epay_server.merchant().transactions() != []

        def test_afterwards(epay_server):
            assert epay_server.merchant().transactions() == []
    """
    assert _pytest(tmp_path, {"test_shop.py": shop}, "-n", "2")[0] == "3 passed"


def test_the_facts_of_each_merchant_can_be_chosen(tmp_path: Path) -> None:
    shop = """
        import pytest

        @pytest.fixture
        def epay_facts():
            return {"dialect": "observed", "seed": "ours"}

        def test_shop(epay):
            assert (epay.merchant["dialect"], epay.seed) == ("observed", "ours")
    """
    assert _pytest(tmp_path, {"test_shop.py": shop})[0] == "1 passed"


def test_each_test_has_a_merchant_whatever_its_name_and_facts(tmp_path: Path) -> None:
    shop = """
        import pytest

        @pytest.fixture
        def before(epay_server, request):
            epay_server.new_merchant(seed=request.node.nodeid)

        def test_of_a_seed_that_is_taken(before, epay, request):
            assert epay.seed == request.node.nodeid
            assert epay.pay().approved

        def test_of_a_name_that_is_long(epay, request):
            assert len(request.node.nodeid) > len(epay.seed) == 255

        def test_of_a_name_in_cyrillic_оплата(epay):
            assert "оплата" in epay.seed

        class TestOfFactsThatMakeNone:
            @pytest.fixture
            def epay_facts(self):
                return {"dialect": "klingon"}

            def test_shop(self, epay):
                pass
    """.replace("that_is_long", "o" * 300)
    counts, output = _pytest(tmp_path, {"test_shop.py": shop})
    assert counts == "3 passed, 1 error", output
    assert re.search("^E .*EpayError: .*klingon", output, re.MULTILINE)


ELSEWHERE: Final = """
    def test_shop(epay):
        receiver = epay.receiver()
        assert receiver.url.startswith("http://localhost:")
        epay.pay(post_link=receiver.url)
        assert epay.wait_for_postlink().body == receiver.notices[0].body

    def test_where(epay_server):
        assert epay_server.url == "{url}"
"""


def test_a_sandbox_in_another_process_can_be_used(tmp_path: Path) -> None:
    with _sandbox_elsewhere("--control-token", "key") as url:
        with EpayServer(url, control_token="key") as server:
            before = len(server.merchants())
            ini = f"epay_url = {url}\nepay_control_token = key\nepay_receiver_host = localhost\n"
            files = {"test_shop.py": ELSEWHERE.replace("{url}", url)}
            counts, output = _pytest(tmp_path, files, "-n", "2", ini=ini)
            assert counts == "2 passed", output
            assert len(server.merchants()) == before
        counts, output = _pytest(tmp_path, files, ini=f"epay_url = {url}\n")
        assert counts == "2 errors", output
        assert "the control token is missing or wrong" in output


def test_the_test_merchant_of_one_sandbox_is_not_for_several_workers(tmp_path: Path) -> None:
    shop = """
        def test_shop(epay_test_merchant):
            assert epay_test_merchant.pay().approved
    """
    with running(Settings(port=0)) as sandbox:
        ini = f"epay_url = {sandbox.url}\n"
        counts, output = _pytest(tmp_path, {"test_shop.py": shop}, "-n", "2", ini=ini)
        assert counts == "1 error", output
        assert "epay_test_merchant is one for all workers" in output
        assert _pytest(tmp_path, {"test_shop.py": shop}, "-n", "1", ini=ini)[0] == "1 passed"


def test_a_sandbox_that_is_not_there_is_named(tmp_path: Path) -> None:
    shop = """
        def test_shop(epay):
            pass
    """
    counts, output = _pytest(tmp_path, {"test_shop.py": shop}, ini="epay_url = http://127.0.0.1:9/\n")
    assert counts == "1 error"
    assert re.search("^E .*NotReachable: there is no sandbox at http://127.0.0.1:9: ", output, re.MULTILINE)


def test_the_options_are_explained(tmp_path: Path) -> None:
    _, output = _pytest(tmp_path, {}, "--help")
    for name in ("epay_url", "epay_control_token", "epay_receiver_host"):
        assert f"{name} (string)" in output


def test_a_run_without_payments_imports_nothing(tmp_path: Path) -> None:
    shop = """
        import sys

        def test_shop(request):
            assert request.config.pluginmanager.has_plugin("mock_epay")
            ours = [name for name in sys.modules if name.startswith("mock_epay.")]
            assert ours == ["mock_epay.pytest_plugin"]
    """
    counts, output = _pytest(tmp_path, {"test_shop.py": shop})
    assert counts == "1 passed", output

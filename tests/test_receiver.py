"""A shop's address for tests."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support import PATIENCE_S, eventually

from mock_epay import receiver as module
from mock_epay.clock import stopwatch
from mock_epay.receiver import MAX_BODY, Notice, Receivers


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    with Receivers() as server:
        yield server


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _port(url: str) -> int:
    return httpx.URL(url).port or 0


def _sent(url: str, raw: bytes) -> bytes:
    """Send bytes as they are and return what comes back."""
    with socket.create_connection(("127.0.0.1", _port(url)), PATIENCE_S) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65_536), b""))


def _head(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: shop", *headers, "", ""]).encode()


def test_what_is_posted_is_kept_and_answered_with_200(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    answer = httpx.post(f"{receiver.url}?order=1", json={"code": "ok", "name": "Ә"}, headers={"X-Shop": "A"})
    assert (answer.status_code, answer.text) == (200, "")
    (notice,) = receiver.notices
    assert notice.body == {"code": "ok", "name": "Ә"}
    assert notice.path == f"{httpx.URL(receiver.url).path}?order=1"
    assert notice.headers["x-shop"] == "A"
    assert notice.text == answer.request.content.decode()


def test_each_receiver_hears_only_what_is_meant_for_it(receivers: Receivers) -> None:
    first, second = receivers.receiver(), receivers.receiver()
    httpx.post(first.url, content=b"1")
    httpx.post(f"{second.url}/failure", content=b"2")
    assert [notice.text for notice in first.notices] == ["1"]
    assert [(notice.text, notice.path.rpartition("/")[2]) for notice in second.notices] == [("2", "failure")]


def test_answers_are_given_in_turn_and_then_it_is_200_again(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    receiver.answer(500, "no", times=2)
    receiver.answer(302)
    answers = [httpx.post(receiver.url, content=b"") for _ in range(4)]
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (500, "no"),
        (500, "no"),
        (302, ""),
        (200, ""),
    ]


def test_a_notice_can_be_read_before_its_answer_is_given(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    receiver.answer(204, delay_s=0.2)
    elapsed = stopwatch()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(httpx.post, receiver.url, content=b"soon")
        assert receiver.wait(timeout_s=PATIENCE_S)[0].text == "soon"
        assert not asked.done()
        assert asked.result().status_code == 204
    assert elapsed() >= 200


def test_one_can_wait_for_several(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(receiver.wait, 3, PATIENCE_S)
        for text in "abc":
            httpx.post(receiver.url, content=text.encode())
        assert [notice.text for notice in waiting.result()] == ["a", "b", "c"]


def test_what_does_not_come_in_time_fails_the_test(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    httpx.post(receiver.url, content=b"")
    with pytest.raises(AssertionError, match=rf"^1 of 2 notices came to {receiver.url} within 0\.01 s$"):
        receiver.wait(2, timeout_s=0.01)


def test_the_notices_one_has_do_not_grow_by_themselves(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    before = receiver.notices
    httpx.post(receiver.url, content=b"")
    assert (before, len(receiver.notices)) == ([], 1)


def test_a_closed_receiver_takes_nothing_more(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    receiver.close()
    assert httpx.post(receiver.url, content=b"").status_code == 404
    assert receiver.notices == []


@pytest.mark.parametrize("path", ["/", "/0", "/nobody/1", "*", "/?1"])
def test_a_path_of_nobody_is_404(receivers: Receivers, path: str) -> None:
    receiver = receivers.receiver()
    assert b" 404 " in _sent(receiver.url, _head(path, "Content-Length: 0"))


@pytest.mark.parametrize("header", ["X: y", "Content-Length: -1", "Content-Length: ²", "Transfer-Encoding: chunked"])
def test_a_body_of_unknown_length_is_not_read(receivers: Receivers, header: str) -> None:
    receiver = receivers.receiver()
    assert b" 411 " in _sent(receiver.url, _head(httpx.URL(receiver.url).path, header) + b"1")
    assert receiver.notices == []


def test_a_body_that_is_too_long_is_not_read(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    head = _head(httpx.URL(receiver.url).path, f"Content-Length: {MAX_BODY + 1}")
    assert b" 413 " in _sent(receiver.url, head)
    assert receiver.notices == []


def test_half_a_body_is_no_notice(receivers: Receivers) -> None:
    receiver = receivers.receiver()
    assert _sent(receiver.url, _head(httpx.URL(receiver.url).path, "Content-Length: 10") + b"half") == b""
    assert receiver.notices == []


def test_other_methods_are_not_there(receivers: Receivers) -> None:
    assert httpx.get(receivers.receiver().url).status_code == 501


def test_a_sender_that_goes_away_harms_nobody(receivers: Receivers, capfd: pytest.CaptureFixture[str]) -> None:
    receiver = receivers.receiver()
    with socket.create_connection(("127.0.0.1", _port(receiver.url))) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed with a reset
        line.sendall(_head(httpx.URL(receiver.url).path, "Content-Length: 10"))
    httpx.post(receiver.url, content=b"next")
    assert [notice.text for notice in receiver.notices] == ["next"]
    assert capfd.readouterr() == ("", "")


def test_threads_end_although_answers_wait_and_connections_are_open() -> None:
    before, elapsed = _threads(), stopwatch()
    with ThreadPoolExecutor() as pool, Receivers() as receivers:
        receiver = receivers.receiver()
        receiver.answer(200, delay_s=60)
        late = pool.submit(httpx.post, receiver.url, content=b"")
        receiver.wait()
        silent = socket.create_connection(("127.0.0.1", _port(receiver.url)), PATIENCE_S)
        eventually(lambda: len(receivers._server._open) == 2)
        receivers.close()
        with silent:
            assert silent.recv(1) == b""
        assert isinstance(late.exception() or late.result(), httpx.Response | httpx.TransportError)
    eventually(lambda: _threads() <= before)
    assert elapsed() < 5000


def test_a_sender_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Handler, "timeout", 0.05)
    with Receivers() as receivers:
        receiver = receivers.receiver()
        with socket.create_connection(("127.0.0.1", _port(receiver.url)), PATIENCE_S) as line:
            line.sendall(_head(httpx.URL(receiver.url).path, "Content-Length: 10"))
            assert line.recv(1) == b""


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [
        ("localhost", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("only.the.sandbox.knows", "127.0.0.1"),
        pytest.param("::1", "[::1]", marks=pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")),
    ],
)
def test_the_host_is_the_senders_name_for_this_machine(host: str, reached_at: str) -> None:
    with Receivers(host) as receivers:
        url = receivers.receiver().url
        assert httpx.URL(url).host == host
        assert httpx.post(f"http://{reached_at}:{_port(url)}/1", content=b"").status_code == 200


def test_a_local_receiver_is_not_reached_from_elsewhere(receivers: Receivers) -> None:
    port = _port(receivers.receiver().url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), PATIENCE_S)


def test_a_notice_that_is_no_json_can_still_be_read() -> None:
    notice = Notice("/1", {}, "<html>")
    assert notice.text == "<html>"
    with pytest.raises(ValueError, match="Expecting value"):
        _ = notice.body

"""Postlinks in a network of its own, where names change their minds and a cloud's metadata service is there to be met.

Run by test_outbound in namespaces that have nothing but loopback and may name their own resolver. Prints what came of
each address, and what the metadata service has heard, which should be nothing.
"""

import json
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import httpx
from support import eventually
from worlds import new_world

from mock_epay.server import running
from mock_epay.settings import Settings

SECRET: Final = "169.254.169.254"
HERE: Final = "127.0.0.1"
A, AAAA = 1, 28
# What each name leads to, in turn; several at once where there are blanks between them.
NAMES: Final = {
    "here.example": ([HERE], []),
    "secret.example": ([SECRET], []),
    "both.example": ([f"{HERE} {SECRET}"], []),
    "turns.example": ([HERE, SECRET], []),
    "turns-back.example": ([SECRET, HERE], []),
    "mapped.example": ([], [f"::ffff:{SECRET}"]),
    "sixth.example": ([HERE], ["fe80::1"]),
}
NOTICES: Final = {"turns.example": 20, "turns-back.example": 20}
LEADS_ASTRAY: Final = "/astray"


class Names(socketserver.BaseRequestHandler):
    """A name server that has no memory, and whose answers are to be kept for no time at all."""

    turns: Final = {
        (name, kind): cycle(texts) for name, row in NAMES.items() for kind, texts in zip((A, AAAA), row, strict=True)
    }

    def handle(self) -> None:
        asked, sock = self.request
        end = asked.index(b"\0", 12) + 5
        question = asked[12:end]
        name, kind = _name(question), struct.unpack("!H", question[-4:-2])[0]
        found = next(self.turns.get((name, kind), iter(())), "").split()
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}
        data = [socket.inet_pton(family[kind], text) for text in found]
        records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(one)) + one for one in data)
        sock.sendto(
            asked[:2] + struct.pack("!HHHHH", 0x8180, 1, len(data), 0, 0) + question + records, self.client_address
        )


def _name(question: bytes) -> str:
    labels, at = [], 0
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels)


class Web(BaseHTTPRequestHandler):
    """The shop and, at its address, the metadata service; each tells them apart by where it was met."""

    heard: Final = Counter[str]()

    def do_POST(self) -> None:
        self.heard[str(self.connection.getsockname()[0])] += 1
        astray = self.path == LEADS_ASTRAY
        self.send_response(307 if astray else 200)
        self.send_header("Location", f"http://{SECRET}/latest/meta-data/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def results(http: httpx.Client, url: str, count: int) -> list[str]:
    """Pay so often, and return what came of each notice."""
    world = new_world(http, postlink_retry_s=[])
    for _ in range(count):
        world.pay(post_link=url)

    def tries() -> list[dict[str, Any]]:
        notices: list[dict[str, Any]] = world.get("/postlinks")["postlinks"]
        return [attempt for notice in notices for attempt in notice["attempts"]]

    eventually(lambda: len(tries()) == count)
    return sorted({attempt["result"] for attempt in tries()})


def main() -> None:
    """Build that network, pay, and tell."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (f"{SECRET}/32", "fd12::1/128"):  # without one of its own IPv6 is not asked for
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    Path(sys.argv[1]).write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
    os.environ |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), f"http://{SECRET}:80")
    with ExitStack() as stack:
        for server in (
            socketserver.ThreadingUDPServer(("127.0.0.1", 53), Names),
            ThreadingHTTPServer((HERE, 80), Web),
            ThreadingHTTPServer((SECRET, 80), Web),
        ):
            stack.enter_context(server)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        sandbox = stack.enter_context(running(Settings(port=0)))
        http = stack.enter_context(httpx.Client(base_url=sandbox.url, trust_env=False))
        told: dict[str, Any] = {name: results(http, f"http://{name}/", NOTICES.get(name, 1)) for name in NAMES}
        told["astray"] = results(http, f"http://here.example{LEADS_ASTRAY}", 1)
        httpx.Client(trust_env=False).get(f"http://{SECRET}/")  # it would have been heard
        print(json.dumps(told | {"heard": Web.heard}))  # noqa: T201


if __name__ == "__main__":
    main()

"""What all connections of a server may want of it, and what is said to who wants more."""

from collections import Counter
from math import ceil
from typing import Final, Self

from mock_epay.errors import Busy, Refusal
from mock_epay.records import Record, field
from mock_epay.settings import Settings
from mock_epay.wire import contracts, outgoing

SWEEP_S: Final = 0.2  # how often each connection is looked at
MOST_HEADERS: Final = 100
MOST_AHEAD: Final = 100  # requests that a client may send before it has an answer

# Chunks have lengths, extensions and trailers, so a body takes more bytes than it has.
_FRAMING: Final = 64 * 1024

NO_HTTP: Final = Refusal(
    "this is no HTTP request: HTTP/1.1 is spoken here, and HTTPS at a port of its own (setting tls)",
    field="request",
    rule="HTTP/1.1, as RFC 9112 says",
    source="RFC 9112",
)


class Limits(Record, kw_only=True):
    """What all connections of a server share: sizes in bytes, patience in sweeps, and how many each client has."""

    head: int
    chunked: int
    connections: int
    sweeps: int
    request_s: float
    clients: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the settings want."""
        head = settings.max_head_kb * 1024
        return cls(
            head=head,
            chunked=head + settings.max_body_kb * 1024 + _FRAMING,
            connections=settings.max_connections,
            sweeps=ceil(settings.request_s / SWEEP_S),
            request_s=settings.request_s,
        )


class TooMuchError(Exception):
    """A client wants too much. The parser wraps what is raised in it in an error of its own."""

    def __init__(self, kind: type[Refusal], what: str, rule: str, setting: str = "") -> None:
        source = f"setting {setting}" if setting else "sandbox: limits of a connection"
        self.refusal = kind(f"{what}: {rule}", field="request", rule=rule, source=source)
        super().__init__(self.refusal.message)


def as_json(refusal: Refusal) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return a refusal as the body and headers of the last answer of a connection."""
    body = contracts.encode("error", outgoing.error(refusal), check=False)
    return body, [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *[(b"retry-after", b"1")] * (refusal.status == Busy.status),
        (b"content-length", b"%d" % len(body)),
    ]

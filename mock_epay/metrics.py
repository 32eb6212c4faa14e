"""What one process counts of its work, and the text in which Prometheus reads it."""

import os
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Final

from mock_epay import __version__
from mock_epay.clock import Clock
from mock_epay.model import Event, Merchant
from mock_epay.store.bounds import Tally

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PAYMENT: Final = "transaction."
_MEMORY: Final = Path("/proc/self/statm")  # where there is none, nothing is said of it
_REQUEST_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SHOP_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]  # what comes behind the name, labels, value


class Histogram:
    """How many took how long."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one that took so long."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """Return what Prometheus has of it: how many took at most so long, for each bound, and their sum."""
        for bound, count in zip((*self._bounds, "+Inf"), accumulate(self._counts), strict=True):
            yield "_bucket", {**labels, "le": str(bound)}, count
        yield "_sum", labels, self._sum
        yield "_count", labels, sum(self._counts)


class Metrics:
    """Counts since the start of this process; one of several says which it is by its `worker`."""

    def __init__(self, worker: str = "") -> None:
        self._own = {"worker": worker} if worker else {}
        self._started = Clock().now().timestamp()
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._answers: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(_REQUEST_S))
        self._events: defaultdict[str, int] = defaultdict(int)
        self._tries: defaultdict[str, int] = defaultdict(int)
        self._shops = Histogram(_SHOP_S)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer to a request."""
        self._requests[route, status] += 1
        self._answers[route].observe(seconds)

    def hear(self, _: Merchant, events: Iterable[Event]) -> None:
        """Count what has happened in a world."""
        for event in events:
            self._events[event.kind] += 1

    def tried(self, result: str, seconds: float) -> None:
        """Count a try to deliver a postlink, and how long the shop took."""
        self._tries[result] += 1
        self._shops.observe(seconds)

    def text(self, tally: Tally) -> str:
        """Return all that was counted, with what there is in the store."""
        return "".join((*self._of_process(), *_of_store(tally)))

    def _of_process(self) -> Iterator[str]:
        own = self._own
        python = ".".join(map(str, sys.version_info[:3]))
        yield _family("mock_epay_info", "gauge", "What answers", [("", {"version": __version__, "python": python}, 1)])
        requests = [
            ("", {"route": route, "status": str(status), **own}, number)
            for (route, status), number in self._requests.items()
        ]
        yield _family("mock_epay_requests_total", "counter", "Answers to requests", requests)
        took = [sample for route, one in self._answers.items() for sample in one.samples({"route": route, **own})]
        yield _family("mock_epay_request_seconds", "histogram", "How long an answer took", took)
        payments = [
            ("", {"outcome": kind.removeprefix(_PAYMENT), **own}, number)
            for kind, number in self._events.items()
            if kind.startswith(_PAYMENT)
        ]
        yield _family("mock_epay_payments_total", "counter", "What became of payments", payments)
        events = [("", {"kind": kind, **own}, number) for kind, number in self._events.items()]
        yield _family("mock_epay_events_total", "counter", "What has happened in worlds", events)
        tries = [("", {"result": result, **own}, number) for result, number in self._tries.items()]
        yield _family("mock_epay_deliveries_total", "counter", "Tries to deliver a postlink", tries)
        shops = self._shops.samples(own)
        yield _family("mock_epay_shop_seconds", "histogram", "How long a shop took to answer a postlink", shops)
        yield _single("process_start_time_seconds", "gauge", "When the process started", self._started, own)
        times = os.times()
        yield _single("process_cpu_seconds_total", "counter", "Time of the processor", times.user + times.system, own)
        with suppress(OSError):
            resident = int(_MEMORY.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
            yield _single("process_resident_memory_bytes", "gauge", "Memory of the process", resident, own)


def _of_store(tally: Tally) -> Iterator[str]:
    """Return what there is in the store, which is the same whichever process tells it."""
    counts = {"transactions": tally.transactions, "events": tally.events, "bodies": tally.bodies}
    unsent = ("", {"what": "unsent"}, tally.waiting.forgotten)
    yield _single("mock_epay_worlds", "gauge", "Merchants, each a world", tally.worlds)
    kept = [("", {"what": what}, one.kept) for what, one in counts.items()]
    yield _family("mock_epay_kept", "gauge", "What is kept of all worlds", kept)
    forgotten = [("", {"what": what}, one.forgotten) for what, one in counts.items()]
    yield _family(
        "mock_epay_forgotten", "gauge", "What was kept of the worlds there are, and is forgotten", [*forgotten, unsent]
    )
    yield _single("mock_epay_postlinks_waiting", "gauge", "Postlinks that are still to be sent", tally.waiting.kept)


def _single(name: str, kind: str, meaning: str, value: float, labels: Labels | None = None) -> str:
    return _family(name, kind, meaning, [("", labels or {}, value)])


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    """Return the lines of what has one name."""
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{behind}{_written(labels)} {value!r}" for behind, labels, value in samples]
    return "\n".join(lines) + "\n"


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

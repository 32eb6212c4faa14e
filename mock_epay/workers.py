"""Processes that do the same work: started, looked after, ended together."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Final, cast

READY: Final = ""

_log: Final = logging.getLogger("mock_epay")
_SPAWN: Final = multiprocessing.get_context("spawn")
_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.5
_BY_SIGNAL: Final = 128
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class WorkerError(Exception):
    """A process could not begin its work; the message is what it said."""


def run(count: int, work: Callable[..., None], arguments: tuple[Any, ...], ready: Callable[[], object]) -> None:
    """Run `work` in so many processes until a signal ends it; call `ready` once all of them are.

    Each gets the arguments and a function to call when it is ready. One that dies later is replaced, again and again.

    Raises:
        WorkerError: one of the first never got so far.
        KeyboardInterrupt: Ctrl-C.
        SystemExit: another signal to end; it has the exit code that shells have for that.

    """
    before = {number: signal.signal(number, _interrupted) for number in _SIGNALS}
    team: list[_Worker] = []
    begun = False
    try:
        team += [_Worker(work, arguments) for _ in range(count)]
        for worker in _as_they_tell(team):
            worker.wait_until_ready()
        begun = True
        ready()
        while True:
            wait([worker.process.sentinel for worker in team])
            for number in [number for number, worker in enumerate(team) if not worker.process.is_alive()]:
                if not team[number].end():
                    wait([], _PAUSE_S)  # what keeps it from its work may be over soon, as when a database starts anew
                team[number] = _Worker(work, arguments)
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for worker in team:
            worker.process.terminate()
        for worker in team:
            worker.end(silently=not begun)  # of the first to fail all is said
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_they_tell(team: Sequence["_Worker"]) -> Iterator["_Worker"]:
    """Give each worker when there is a word from it, or its end: one that fails does not wait for one that is slow."""
    silent = {worker.told: worker for worker in team}
    while silent:
        for told in wait([*silent]):
            yield silent.pop(cast("Connection", told))


class _Worker:
    def __init__(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._got_ready = False
        self.told, theirs = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_work, args=(work, arguments, theirs))
        self.process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Wait for a word from the process."""
        try:
            said = self.told.recv()
        except EOFError:
            said = "a worker ended before it was ready"
        self._got_ready = said == READY
        if not self._got_ready:
            raise WorkerError(said)

    def end(self, *, silently: bool = False) -> bool:
        """Wait for the process's end, but not for ever; return whether it had begun its work, and say why not."""
        self.process.join(_PATIENCE_S)
        self.process.kill()
        if not (self._got_ready or silently or self.told.closed):
            try:
                self.wait_until_ready()
            except WorkerError as wrong:
                _log.warning("%s", wrong)
        self.told.close()
        return self._got_ready


def _work(work: Callable[..., None], arguments: tuple[Any, ...], told: Connection) -> None:
    begun = threading.Event()

    def ready() -> None:
        begun.set()
        told.send(READY)

    def ended(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # An exception may come out in the middle of an import, which complains of that aloud.
        leave: dict[bool, Callable[[int], object]] = {True: sys.exit, False: os._exit}
        leave[begun.is_set()](0)

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells everybody; the parent passes it on
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    try:
        work(*arguments, ready)
    except Exception as wrong:  # noqa: BLE001  (the parent says it)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this is the end already
        told.send(str(wrong) or type(wrong).__name__)


def _outlive_nobody() -> None:
    """End with the parent, even one that had no time to say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _interrupted(number: int, _: object) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(_BY_SIGNAL + number)

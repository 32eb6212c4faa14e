"""Processes that do the same work are started, replaced and ended together."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import PATIENCE_S, eventually

from mock_epay import workers

_NEVER = threading.Event()


def stumble(folder: Path, ready: Callable[[], None]) -> None:
    """End once ready, then before that; the third time tell the parent to end, and wait for it."""
    before = len(list(folder.iterdir()))
    (folder / str(before)).touch()
    if before == 1:
        os._exit(1)
    ready()
    if before == 0:
        os._exit(1)
    os.kill(os.getppid(), signal.SIGTERM)
    _NEVER.wait()


def stay(folder: Path, ready: Callable[[], None]) -> None:
    """Be ready, and leave a sign in the end."""
    try:
        ready()
        _NEVER.wait()
    finally:
        (folder / "ended").touch()


def hesitate(folder: Path, _: Callable[[], None]) -> None:
    """Be never ready, and have the parent end meanwhile."""
    try:
        os.kill(os.getppid(), signal.SIGTERM)
        _NEVER.wait()
    finally:
        (folder / "interrupted").touch()


def second_fails(first: str, _: Callable[[], None]) -> None:
    """Take long in the process that is started first, fail in the other."""
    if multiprocessing.current_process().name.endswith(first):
        _NEVER.wait(PATIENCE_S)
        return
    raise RuntimeError("the store cannot be used")


def test_one_that_cannot_begin_does_not_wait_for_one_that_has_not_begun_yet() -> None:
    before = multiprocessing.Process().name.rpartition("-")[2]  # they are numbered by their parent
    with pytest.raises(workers.WorkerError, match="the store cannot be used"):
        workers.run(2, second_fails, (f"-{int(before) + 1}",), lambda: None)


def test_what_has_not_begun_its_work_is_ended_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        workers.run(1, hesitate, (tmp_path,), lambda: None)

    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_no_process_outlives_one_that_was_killed(tmp_path: Path) -> None:
    program = "import pathlib, sys, test_workers; test_workers.lead(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE) as leader:
        assert leader.stdout
        assert leader.stdout.read(1)
        leader.kill()
    eventually((tmp_path / "ended").exists)


def lead(folder: Path) -> None:
    """Run one process until the end, and say when it is ready."""
    workers.run(1, stay, (folder,), lambda: os.write(1, b"!"))


def test_a_process_that_dies_is_replaced_again_and_again_until_a_signal_ends_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    announced = []
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        workers.run(1, stumble, (tmp_path,), lambda: announced.append("ready"))

    assert announced == ["ready"]
    assert len(list(tmp_path.iterdir())) == 3
    assert caplog.messages == ["a worker ended before it was ready"]
    assert signal.getsignal(signal.SIGTERM) == before

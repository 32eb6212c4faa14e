"""A PostgreSQL server for a run of tests: its own folder, its own user, no durability unless asked for."""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

_PATIENT_S: Final = 60
_FAST: Final = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def _binaries() -> Path:
    """Return the folder of the server's newest binaries; Debian keeps them out of the path."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@dataclass
class Postgres:
    """A server in a folder. It refuses to run as root, so there it runs as nobody."""

    folder: Path
    port: int
    durable: bool = False
    _process: "subprocess.Popen[bytes] | None" = None
    _databases: "count[int]" = field(default_factory=count)

    def start(self) -> None:
        """Start, and wait until it answers."""
        # With a small log of what it writes it can live on a small disk.
        options = [
            "-c",
            "max_wal_size=32MB",
            "-c",
            "min_wal_size=32MB",
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
            "-k",
            str(self.folder),
        ]
        quick = () if self.durable else _FAST
        command = [str(_binaries() / "postgres"), *options, "-c", "listen_addresses=127.0.0.1", *quick]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_nobody())
        until = time.monotonic() + _PATIENT_S
        ready = [str(_binaries() / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text("utf-8")
            time.sleep(0.02)

    def stop(self, how: int) -> None:
        """Stop by a signal: SIGINT rolls back what is under way, SIGQUIT is as good as a power cut."""
        assert self._process
        self._process.send_signal(how)
        self._process.wait(_PATIENT_S)

    @property
    def alive(self) -> bool:
        """Whether it still runs: without room for its log a server ends itself."""
        assert self._process
        return self._process.poll() is None

    def new_database(self, place: Path | None = None) -> str:
        """Make an empty database and return its address; its tables are in another place, if one is named."""
        name = f"db{next(self._databases)}"
        if place is not None:
            self.say(f"CREATE TABLESPACE place_of_{name} LOCATION '{place}'")
        self.say(f"CREATE DATABASE {name}" + (f" TABLESPACE place_of_{name}" if place is not None else ""))
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"

    def say(self, statement: str, database: str = "postgres") -> str:
        """Carry out a statement; return what psql prints."""
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", "tests", "-d", database]
        done = subprocess.run(["psql", *where, "-Atqc", statement], capture_output=True, text=True, check=True)
        return done.stdout


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Make a disk that is soon full, and a server's own; without the right to do so, skip the test."""
    folder = Path(tempfile.mkdtemp(prefix="pg-disk-", dir="/tmp"))
    owner = "".join(f",{name[0]}id={number}" for name, number in _nobody().items())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m{owner}", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False)
        if made.returncode:
            pytest.skip("only who may mount one can make a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Take all the room that is left on a disk, for as long as this lasts."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as taken, suppress(OSError):
        while taken.write(bytes(1 << 16)):
            pass
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def postgres(*, durable: bool = False, disk: Path = Path("/tmp")) -> Iterator[Postgres]:
    """Run a server of its own on a disk."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=disk))  # a socket's path must be short
    try:
        if who := _nobody():
            os.chown(folder, who["user"], who["group"])
        initdb = [
            str(_binaries() / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "tests",
            "-A",
            "trust",
            "-N",
            "--no-locale",
        ]
        subprocess.run([*initdb, "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL, **who)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Postgres(folder, port, durable)
        server.start()
        try:
            yield server
        finally:
            if server.alive:
                server.stop(3)
    finally:
        shutil.rmtree(folder)


@cache
def shared_postgres() -> Postgres:
    """Run one server for all tests of this process."""
    running = postgres()
    started = running.__enter__()
    atexit.register(running.__exit__, None, None, None)
    return started


def _nobody() -> dict[str, Any]:
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}

"""A container engine, driven as one does by hand."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mock_epay import ready

ROOT: Final = Path(__file__).parent.parent.parent
ENGINE: Final = os.environ.get("CONTAINER_ENGINE", "docker")
IMAGE: Final = os.environ.get("MOCK_EPAY_IMAGE", "mock-epay")
PATIENCE_S: Final = 60
SHOP_FILES: Final = ("-f", "docker/compose.yaml", "-f", "docker/compose.shop.yaml")
_OLD_PODMAN: Final = "podman version 4.3"  # which knows no host-gateway


@dataclass(frozen=True, slots=True)
class Container:
    """A running sandbox."""

    name: str

    def port(self, inside: int = 8080) -> int:
        """Return the port of this machine that leads to one of the container's."""
        return int(engine("port", self.name, str(inside)).splitlines()[0].rpartition(":")[2])

    @property
    def url(self) -> str:
        """The sandbox's address."""
        return f"http://127.0.0.1:{self.port()}"

    def run(self, *command: str) -> str:
        """Run a command inside."""
        return engine("exec", self.name, *command)

    def log(self) -> str:
        """Return all that it has said."""
        return call("sh", "-c", f"{ENGINE} logs {self.name} 2>&1")

    def facts(self) -> dict[str, Any]:
        """Return what the engine knows of it."""
        found: list[dict[str, Any]] = json.loads(engine("inspect", self.name))
        return found[0]


def engine(*words: str) -> str:
    """Call the engine; what it says is a part of the failure if it fails."""
    return call(ENGINE, *words)


def call(*words: str, **variables: str) -> str:
    """Run a command in the checkout that must succeed."""
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def sandbox(*options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Run a sandbox as it is meant to be run, locked up, until payments are taken."""
    locked = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    published = ("-p", "127.0.0.1::8080", "-p", "127.0.0.1::8443")
    # The last line is the container's; before it podman may complain that nobody runs health checks here.
    name = engine("run", "-d", *locked, *published, *options, IMAGE, *command).split()[-1]
    try:
        one = Container(name)
        assert ready.carry_out(wait=True, timeout=20, url=one.url) == 0, one.log()
        yield one
    finally:
        engine("rm", "-f", name)


@contextmanager
def volume() -> Iterator[str]:
    """Give a volume for a while."""
    name = engine("volume", "create").strip()
    try:
        yield name
    finally:
        engine("volume", "rm", "-f", name)


def compose(*words: str, **variables: str) -> str:
    """Call what runs compose files with this engine."""
    program = ("docker", "compose") if ENGINE == "docker" else (str(ROOT / ".venv/bin/podman-compose"),)
    return call(*program, *words, **variables)


def host_gateway() -> dict[str, str]:
    """Return what tells a compose file where this machine is, where the engine cannot."""
    if not engine("--version").startswith(_OLD_PODMAN):
        return {}
    return {"HOST_GATEWAY": call("hostname", "-I").split()[0]}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def trusting_home(home: Path, certificate: Path) -> Path:
    """Make a home in which Chromium trusts an authority, as `mock-epay trust` says."""
    certutil = shutil.which("certutil")
    assert certutil, "libnss3-tools is needed: make test-image installs it"
    database = home / ".pki/nssdb"
    database.mkdir(parents=True)
    call(certutil, "-d", f"sql:{database}", "-N", "--empty-password")
    call(certutil, "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", "mock-epay", "-i", str(certificate))
    return home

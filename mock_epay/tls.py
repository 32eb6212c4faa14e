"""The sandbox's own certificate authority, by whose word it is the bank to whoever trusts that authority."""

import os
import shutil
import socket
import ssl
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import TYPE_CHECKING, Any, Final, Self

from mock_epay import resources
from mock_epay.clock import Clock

if TYPE_CHECKING:
    from trustme import CA

_OWN_NAMES: Final = ("localhost", "127.0.0.1", "::1", "mock-epay", "epay", "host.docker.internal")
_LASTS: Final = timedelta(days=397)  # longer ones are refused by some systems
_BEFORE: Final = timedelta(days=1)  # other machines' clocks may be late
_PRIVATE: Final = "private"
_CERTIFICATE: Final = "ca.pem"
_KEY: Final = "ca.key"


class AuthorityError(Exception):
    """The authority's folder cannot be used; the message is one line that says why."""


def bank_hosts() -> list[str]:
    """Return the names by which the bank is met."""
    rows: list[dict[str, Any]] = resources.table("hosts")["host"]
    return [str(row["name"]) for row in rows]


def names(extra: str = "") -> list[str]:
    """Return the names that a certificate is for: the bank's, this machine's, and extra ones with commas between."""
    others = [one.strip() for one in extra.split(",") if one.strip()]
    return list(dict.fromkeys((*bank_hosts(), *_OWN_NAMES, *_named(socket.gethostname()), *others)))


def public_certificate(folder: Path) -> Path:
    """Return where the authority's certificate lies for others to read."""
    return folder / _CERTIFICATE


class Authority:
    """A certificate authority that lives in a folder; it is made where there is none.

    The certificate lies there for anybody. The key lies, with the certificate once more, in a folder inside that only
    its owner can open, and that appears as a whole: of two sandboxes that begin at once, both use the first's.
    """

    def __init__(self, ca: "CA", private: Path) -> None:
        self._ca = ca
        self._private = private

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the authority of a folder.

        Raises:
            AuthorityError: it cannot be read or written.

        """
        from trustme import CA  # noqa: PLC0415  (slow to import, and few need it)

        private = folder / _PRIVATE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not private.is_dir():
                _make(private)
            certificate = (private / _CERTIFICATE).read_bytes()
            authority = cls(CA.from_pem(certificate, (private / _KEY).read_bytes()), private)
            _publish(folder / _CERTIFICATE, certificate)
        except OSError as wrong:
            raise AuthorityError(f"{wrong.filename}: {wrong.strerror}") from None
        except ValueError:
            raise AuthorityError(f"{private} holds no authority; delete it to have a new one") from None
        return authority

    @property
    def certificate(self) -> bytes:
        """The authority's certificate, PEM."""
        pem: bytes = self._ca.cert_pem.bytes()
        return pem

    def context(self, hosts: Iterable[str]) -> ssl.SSLContext:
        """Return what a server needs to be these hosts, by a new certificate that lasts a year.

        Raises:
            ValueError: one of them is neither a name nor an address.

        """
        now = Clock().now()
        leaf = self._ca.issue_cert(
            *hosts,
            organization_name="mock-epay",
            organization_unit_name="a sandbox, not the bank",
            not_before=now - _BEFORE,
            not_after=now + _LASTS,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        # A container may have no other place to write to.
        with leaf.private_key_and_cert_chain_pem.tempfile(str(self._private)) as path:
            context.load_cert_chain(path)
        return context


def _make(private: Path) -> None:
    """Put a new authority into a folder, unless somebody else has done so meanwhile."""
    from trustme import CA  # noqa: PLC0415

    ca = CA(
        path_length=0,
        organization_name="mock-epay",
        organization_unit_name=f"certificate authority of the sandbox on {socket.gethostname()}"[:64],
    )
    new = Path(mkdtemp(prefix=".new-", dir=private.parent))  # for its owner alone
    try:
        (new / _CERTIFICATE).write_bytes(ca.cert_pem.bytes())
        (new / _KEY).touch(0o600)
        (new / _KEY).write_bytes(ca.private_key_pem.bytes())
        new.rename(private)
    except OSError:
        if not private.is_dir():
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _publish(path: Path, certificate: bytes) -> None:
    """Lay the certificate where others can read it, whole at any moment."""
    if path.is_file() and path.read_bytes() == certificate:
        return
    number, name = mkstemp(prefix=".new-", dir=path.parent)  # two containers have the same numbers of processes
    with os.fdopen(number, "wb") as new:
        new.write(certificate)
    Path(name).chmod(0o644)
    Path(name).replace(path)


def _named(machine: str) -> Iterator[str]:
    """Return a machine's, or container's, name if a certificate can be for it."""
    if machine.isascii() and all(label.replace("-", "").isalnum() for label in machine.split(".")):
        yield machine

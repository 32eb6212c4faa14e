"""Where postlinks really go, and where they never may."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from mock_epay import addresses

_GATEWAY: Final = "gateway"
_ROUTES: Final = Path("/proc/net/route")


class BlockedAddressError(Exception):
    """A postlink address that leads where none may go."""


class Roads:
    """Where postlinks really go: other hosts than they name, other places that may be meant by localhost, or nowhere.

    The texts are those of the settings `postlink_hosts`, `postlink_localhost` and `postlink_allow`.

    Raises:
        ValueError: a text cannot be read.

    """

    def __init__(self, hosts: str = "", localhost: str = "", allow: str = "") -> None:
        self._hosts = dict(map(_pair, _listed(hosts)))
        self._localhost = [one for one in map(_meant, _listed(localhost)) if one]
        self._allowed = addresses.Allowed(allow)

    @property
    def localhost(self) -> list[str]:
        """Where else a postlink to localhost may be taken."""
        return self._localhost

    def of(self, url: str) -> list[str]:
        """Return the hosts to try for an address, in turn; an empty one is its own."""
        try:
            host = addresses.taken_apart(url).host or ""
        except ValueError:
            return [""]
        if host.lower() in self._hosts:
            return [self._hosts[host.lower()]]
        return ["", *self._localhost] if addresses.is_loopback(host) else [""]

    def check_host(self, host: str) -> None:
        """Refuse a host by how it is written: addresses are not looked up, so the resolver never sees them.

        Raises:
            BlockedAddressError: it may not be gone to.

        """
        if addresses.forbidden_host(host):
            raise BlockedAddressError(host)
        with suppress(ValueError):
            self._check(host, host)

    def check_found(self, host: str, found: Sequence[str]) -> None:
        """Refuse a name that leads to an address that may not be gone to.

        Raises:
            BlockedAddressError: it does.

        """
        for one in found:
            self._check(host, one)

    def _check(self, host: str, address: str) -> None:
        if addresses.forbidden(address):
            raise BlockedAddressError(address)
        if self._allowed and not (self._allowed.name(host) or self._allowed.address(address)):
            raise BlockedAddressError(address)


def _pair(text: str) -> tuple[str, str]:
    name, _, other = (part.strip() for part in text.partition("="))
    if not (addresses.is_host(name) and addresses.is_host(other)):
        raise ValueError(f'"{text}" is no pair; it takes name=host such as shop=127.0.0.1, several with commas')
    return name.lower(), other


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _meant(host: str) -> str | None:
    """Return a host, or the default gateway where that is meant, if there is one."""
    if host != _GATEWAY:
        return host
    with suppress(OSError):
        return addresses.default_gateway(_ROUTES.read_text("ascii"))
    return None

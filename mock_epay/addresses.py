"""Which addresses a postlink may reach. Loopback and private ones are the job; what hands out secrets is not. Pure."""

import re
import socket
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from yarl import URL

_FORBIDDEN: Final = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata service of Alibaba Cloud
        "168.63.129.16/32",  # what Azure tells its machines by
        "192.0.0.192/32",  # metadata service of Oracle Cloud
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",  # broadcast
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # metadata service of AWS
        "fd20:ce::254/128",  # metadata service of Google Cloud
        "ff00::/8",  # multicast
    )
)
_METADATA: Final = {
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
}
_NAME: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")  # in letters of any alphabet
_REMEMBERED: Final = 1024  # addresses; a shop hears of many payments
_GATEWAY: Final = 2  # which column of the table of routes
_LOCAL_ENDINGS: Final = {"internal", "lan", "local", "localhost", "test"}
# Networks of IPv6 whose last 32 bits are an address of IPv4: NAT64, and what stateless translators use.
_CARRIERS: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
_ISATAP: Final = 0x5EFE  # stands in front of an address of IPv4, with or without the bit that says it is unique


@lru_cache(_REMEMBERED)
def forbidden(address: str) -> bool:
    """Return whether a postlink must not go to this address, however it is spelt.

    Raises:
        ValueError: it is not an address but a name.

    """
    found = ip_address(address.partition("%")[0])
    return any(spelling in network for spelling in _spellings(found) for network in _FORBIDDEN)


@lru_cache(_REMEMBERED)
def forbidden_host(host: str) -> bool:
    """Return whether a postlink must not go to this host, as far as that can be told without looking it up.

    It may be an address in any spelling that a system would understand, such as 0xa9fea9fe.
    """
    name = host.rstrip(".").lower()
    if name in _METADATA:
        return True
    with suppress(ValueError):
        return forbidden(name)
    with suppress(OSError):
        return forbidden(socket.inet_ntoa(socket.inet_aton(name)))
    return False


def is_host(text: str) -> bool:
    """Return whether a text is an address, or could be a name of a host."""
    with suppress(ValueError):
        ip_address(text)
        return True
    return _NAME.fullmatch(text) is not None


def taken_apart(link: str) -> "URL":
    """Take a link apart.

    Raises:
        ValueError: it is none.

    """
    from yarl import URL  # noqa: PLC0415  (a twentieth of a start, and no token needs it)

    return URL(link)


def receiver(link: str) -> str:
    """Return the host that a postlink would go to, as it is looked up.

    Raises:
        ValueError: nothing can be sent to such an address.

    """
    host = taken_apart(link).raw_host
    if not host:
        raise ValueError("it names no host")
    return _receiving(host)


@lru_cache(_REMEMBERED)
def _receiving(host: str) -> str:
    host.encode("idna")
    if host.replace(".", "").isdigit() and not forbidden_host(host):
        IPv4Address(host)  # the client takes no other way to write one in digits
    return host


@lru_cache(_REMEMBERED)
def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by name or address."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


class Allowed:
    """The only hosts and networks that postlinks may go to; without any, all of them.

    Raises:
        ValueError: one of them is neither a name nor a network.

    """

    def __init__(self, text: str) -> None:
        self._names: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for one in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                self._networks.append(ip_network(one))
            except ValueError:
                if not (_NAME.fullmatch(one) and any(map(str.isalpha, one))):
                    rule = "it takes names, addresses and networks such as shop.test, 10.0.0.5, 10.0.0.0/8, with commas"
                    raise ValueError(f'"{one}" is neither a name nor a network; {rule}') from None
                self._names.add(one)

    def __bool__(self) -> bool:
        return bool(self._names or self._networks)

    def name(self, host: str) -> bool:
        """Return whether this name is one of them."""
        return host.lower() in self._names

    def address(self, address: str) -> bool:
        """Return whether this address is in one of the networks."""
        found = ip_address(address.partition("%")[0])
        return any(spelling in network for spelling in _spellings(found) for network in self._networks)


def default_gateway(routes: str) -> str | None:
    """Return the default gateway out of what `/proc/net/route` says."""
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) > _GATEWAY and int(fields[1], 16) == 0 and int(fields[_GATEWAY], 16):
            return str(IPv4Address(int(fields[_GATEWAY], 16).to_bytes(4, "little")))
    return None


@lru_cache(_REMEMBERED)
def is_local(host: str) -> bool:
    """Return whether only machines nearby can reach this host: by its name, or by its address."""
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return "." not in host or host.rpartition(".")[2] in _LOCAL_ENDINGS


def is_own(host: str) -> bool:
    """Return whether nobody can have made this host lead here from far away: an address, or a name of nearby use."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return is_local(host)
    return True


def _spellings(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Return the address with those that it stands for: IPv4 inside IPv6 in its several forms."""
    if isinstance(address, IPv4Address):
        return [address]
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    embedded = IPv4Address(int(address) & 0xFFFFFFFF)
    tunnelled = int(address) >> 32 & 0xFDFFFFFF == _ISATAP
    if tunnelled or any(address in network for network in _CARRIERS) or int(address) >> 32 == 0:
        inside.append(embedded)
    return [address, *(one for one in inside if one is not None)]

"""Which addresses a postlink may reach. Loopback and private ones are the job; what hands out secrets is not. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_FORBIDDEN: Final = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata service of Alibaba Cloud
        "192.0.0.192/32",  # metadata service of Oracle Cloud
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",  # broadcast
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # metadata service of AWS
        "fd20:ce::254/128",  # metadata service of Google Cloud
        "ff00::/8",  # multicast
    )
)
_LOCAL_ENDINGS: Final = {"internal", "lan", "local", "localhost", "test"}
_NAT64: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))


def forbidden(address: str) -> bool:
    """Return whether a postlink must not go to this address, however it is spelt.

    Raises:
        ValueError: it is not an address but a name.

    """
    found = ip_address(address.partition("%")[0])
    return any(spelling in network for spelling in _spellings(found) for network in _FORBIDDEN)


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
    if any(address in network for network in _NAT64) or int(address) >> 32 == 0:
        inside.append(embedded)
    return [address, *(one for one in inside if one is not None)]

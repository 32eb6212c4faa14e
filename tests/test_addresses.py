from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay.addresses import forbidden, forbidden_host, is_local

FORBIDDEN_V4 = [
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
]


def spellings(address: IPv4Address) -> list[str]:
    """Return the ways in which IPv6 can carry an IPv4 address."""
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    mirrored = number ^ 0xFFFFFFFF
    return [
        str(address),
        f"::ffff:{address}",
        f"::FFFF:{high:X}:{low:X}",
        f"0:0:0:0:0:ffff:{high:04x}:{low:04x}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"64:ff9b::{high:x}:{low:x}",
        f"::ffff:0:{address}",
        f"2001:db8::5efe:{high:x}:{low:x}",
        f"fd00::200:5efe:{address}",
        f"2002:{high:x}:{low:x}::1",
        f"::{address}",
        f"::{high:x}:{low:x}",
        f"2001:0:808:808:8000:63bf:{mirrored >> 16:x}:{mirrored & 0xFFFF:x}",
    ]


def is_forbidden(number: int) -> bool:
    """Judge an IPv4 address by arithmetic alone."""
    first, second = number >> 24, number >> 16 & 255
    return (
        (first, second) == (169, 254)
        or 224 <= first < 240
        or number in {0xA83F8110, 0x646464C8, 0xC00000C0, 0xFFFFFFFF}
    )


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.17.0.1",
        "192.168.1.20",
        "100.64.0.1",
        "100.100.100.199",
        "192.0.0.191",
        "169.253.255.255",
        "169.255.0.0",
        "223.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "92.46.10.10",
        "::1",
        "::",
        "fd00::1",
        "fd12:3456::1",
        "fd00:ec1:ffff::1",
        "fd00:ec3::",
        "fe7f::1",
        "fec0::1",
        "2a00:1450:4010::71",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:0:0:1::a9fe:a9fe",
        "fd00::1%eth0",
    ],
)
def test_a_developers_own_and_ordinary_addresses_may_be_reached(address: str) -> None:
    assert not forbidden(address)


@pytest.mark.parametrize("address", FORBIDDEN_V4)
def test_what_hands_out_secrets_may_not_be_reached_however_it_is_spelt(address: str) -> None:
    assert [spelling for spelling in spellings(IPv4Address(address)) if not forbidden(spelling)] == []


@pytest.mark.parametrize(
    "address",
    [
        "fe80::1",
        "FE80::1",
        "febf:ffff::1",
        "fd00:ec2::254",
        "fd00:0ec2:0000:0000:0000:0000:0000:0254",
        "ff02::1",
        "fe80::1%eth0",
        "fe80::a9fe:a9fe%25eth0",
        "fd00:ec2::254%1",
        "::ffff:169.254.169.254%lo",
        "169.254.169.254%eth0",
    ],
)
def test_link_local_multicast_and_metadata_addresses_of_ipv6_may_not_be_reached(address: str) -> None:
    assert forbidden(address)


def test_a_tunnel_server_may_not_be_forbidden_either() -> None:
    assert forbidden("2001:0:a9fe:a9fe:8000:63bf:f7f7:f7f7")
    assert not forbidden("2001:0:808:808:8000:63bf:f7f7:f7f7")


near_the_edges = (
    st.sampled_from(FORBIDDEN_V4)
    .map(lambda text: int(IPv4Address(text)))
    .flatmap(lambda number: st.integers(max(0, number - 2), min(2**32 - 1, number + 2)))
)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1) | near_the_edges)
def test_an_ipv4_address_is_judged_alike_in_every_spelling(number: int) -> None:
    judged = {forbidden(spelling) for spelling in spellings(IPv4Address(number))}

    assert judged == {is_forbidden(number)}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1) | near_the_edges, st.lists(st.sampled_from("dox"), min_size=1, max_size=4))
def test_an_address_is_judged_alike_in_each_way_that_systems_read(number: int, bases: list[str]) -> None:
    heads = [number >> shift & 255 for shift in (24, 16, 8)][: len(bases) - 1]
    parts = [*heads, number & (1 << 8 * (4 - len(heads))) - 1]
    written = ".".join(
        {"d": "{}", "o": "0{:o}", "x": "0x{:X}"}[base].format(part) for base, part in zip(bases, parts, strict=True)
    )
    assert forbidden_host(written) is forbidden_host(f"{written}.") is is_forbidden(number), written


@pytest.mark.parametrize("host", ["example.kz", "metadata", "metadata.example.kz", "256.0.0.1", "0x1ffffffff", "", "."])
def test_other_names_are_nobodys_secret(host: str) -> None:
    assert not forbidden_host(host)


@settings(deadline=None)
@given(st.ip_addresses(v=6))
def test_a_zone_changes_nothing(address: IPv6Address) -> None:
    assert forbidden(f"{address}%eth0") is forbidden(str(address))


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "example.kz",
        "metadata.google.internal",
        "",
        "%eth0",
        "2852039166",
        "0xa9fea9fe",
        "169.254.169.254.",
        "[::1]",
    ],
)
def test_a_name_is_no_address(name: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        forbidden(name)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("shop.localhost", True),
        ("shop.test", True),
        ("db", True),
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("fe80::1%eth0", True),
        ("::1", True),
        ("", True),
        ("example.kz", False),
        ("8.8.8.8", False),
    ],
)
def test_what_only_machines_nearby_can_reach_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local

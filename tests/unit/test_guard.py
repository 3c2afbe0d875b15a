"""Does the guard see through every way to write a forbidden address?"""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptimeo.probes.network.guard import AddressGuard

DEFAULT = AddressGuard.of("default")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%lo",
        "ff02::1",
        "fd00:ec2::254",
        "fd00:0ec2:0:0::0254",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::127.0.0.1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "localhost",
    ],
)
def test_by_default_this_host_its_link_and_metadata_services_are_forbidden(address: str) -> None:
    assert DEFAULT.refusal(address) is not None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7",
        "172.16.0.1",
        "192.168.1.1",
        "8.8.8.8",
        "2001:db8::1",
        "fd12::1",
        "::ffff:8.8.8.8",
    ],
)
def test_private_and_public_addresses_are_allowed_by_default(address: str) -> None:
    assert DEFAULT.refusal(address) is None


@given(st.ip_addresses())
def test_nothing_is_forbidden_with_none(address: object) -> None:
    assert AddressGuard.of("none").refusal(str(address)) is None


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_a_network_of_the_operator_is_forbidden_in_every_form(address: object) -> None:
    guard = AddressGuard.of("default, 10.0.0.0/8")

    assert all(guard.refusal(f"{form}{address}") for form in ("", "::ffff:", "64:ff9b::", "::"))


@pytest.mark.parametrize("text", ["10.0.0.0/33", "everything", "default;none", "10.0.0.1/8"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a network"):
        AddressGuard.of(text)


def test_a_refusal_names_name_address_network_and_setting() -> None:
    assert DEFAULT.refusal("::ffff:127.0.0.1", "shop.example") == (
        "shop.example is ::ffff:127.0.0.1, and the agent may not connect there: 127.0.0.0/8 is"
        " among the forbidden networks (setting UPTIMEO_FORBIDDEN_NETWORKS)"
    )


@pytest.mark.parametrize("host", ["0177.0.0.1", "0x7f.1", "2130706433", "0x7f000001", "127.1"])
def test_whatever_the_system_makes_of_a_spelling_is_what_is_asked(host: str) -> None:
    found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)

    assert DEFAULT.refusal(str(found[0][4][0])) is not None

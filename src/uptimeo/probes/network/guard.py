"""Which addresses may a check connect to? Asked of the address itself, before connecting. Pure.

A name proves nothing: it may be spelt in forty ways, and resolve to something else the next time.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

SETTING = "UPTIMEO_FORBIDDEN_NETWORKS"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# This host, its neighbours and whoever listens in: nothing that a monitor in production means.
DEFAULT_FORBIDDEN = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254/128",  # the metadata service of AWS
    "fd20:ce::254/128",  # and that of Google
)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """The networks that no check of this agent connects to; none by default."""

    forbidden: tuple[Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> "AddressGuard":
        """What the setting says: `default`, `none`, or networks and `default` by commas.

        Raises ValueError naming the part that is no network.
        """
        return cls(tuple(_networks(text)))

    def refusal(self, address: str, name: str = "") -> str | None:
        """Why that address may not be connected to, in a sentence; None if it may.

        `name` is what the address was found under. What is not an address is refused.
        """
        network = self._network_of(address)
        if network is None:
            return None
        found = f"{name} is " if name and name != address else ""
        return (
            f"{found}{address}, and the agent may not connect there: {network} is among the"
            f" forbidden networks (setting {SETTING})"
        )

    def _network_of(self, address: str) -> Network | str | None:
        try:
            given = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return "what is no IP address" if self.forbidden else None
        for each in _meanings(given):
            for network in self.forbidden:
                if each.version == network.version and each in network:
                    return network
        return None


def _networks(text: str) -> Iterator[Network]:
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if part.lower() == "none":
            continue
        if part.lower() == "default":
            yield from map(ipaddress.ip_network, DEFAULT_FORBIDDEN)
            continue
        try:
            yield ipaddress.ip_network(part)
        except ValueError as error:
            raise ValueError(
                f"{part!r} is neither a network such as 10.0.0.0/8, nor `default`, nor `none`"
            ) from error


def _meanings(address: _Address) -> Iterator[_Address]:
    """The address, and the IPv4 addresses that it stands for to a kernel or a translator."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in (*_NAT64, _COMPATIBLE, _TRANSLATED)):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)

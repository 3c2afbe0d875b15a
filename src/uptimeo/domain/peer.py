"""What do the agents of a datacenter tell each other?"""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A term whose holder starts no more checks under it; anyone may free its lease."""

    term: int
    candidate: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """How one agent stands with the database at the moment it says so.

    `answered_ago_s` is how long ago the database answered it last; None says that it does not
    reach the database, and will steal no lease before it has watched it anew for a whole TTL.
    `term` is the newest that it knows of, `holds` whether it holds that term itself.
    """

    answered_ago_s: float | None
    term: int
    holds: bool
    given_up: GivenUp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerBook:
    """Where the other agents of the datacenter are (host:port), and the key they sign with."""

    key: bytes
    addresses: tuple[str, ...]

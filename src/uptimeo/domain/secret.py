"""What is a secret that is kept in the database?"""

import re
from dataclasses import dataclass

from uptimeo.domain.monitor import DatacenterId

# Whatever is shorter could not be told from ordinary words where answers are redacted.
SHORTEST = 6
LONGEST = 65_536
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A row of `secrets`: only who has the key of that id can read it.

    `datacenter_id` None means every datacenter; one of a datacenter goes before it.
    """

    name: str
    datacenter_id: DatacenterId | None
    key_id: str
    nonce: bytes
    ciphertext: bytes


def is_secret_name(name: str) -> bool:
    """Whether a secret may be called so."""
    return _NAME.fullmatch(name) is not None


def value_fault(value: str) -> str | None:
    """Why a value cannot be used as a secret; None if it can."""
    if len(value) < SHORTEST:
        return f"has fewer than {SHORTEST} characters, and could not be redacted from answers"
    if len(value.encode("utf-8", "replace")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    return None

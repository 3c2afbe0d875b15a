"""What is a heartbeat while it waits?"""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spooled:
    """One waiting heartbeat in its wire form; `seq` orders them by arrival.

    It is not `sound` when the disk gave back something else than it took.
    """

    seq: int
    body: str
    sound: bool = True


def checksum(body: str) -> int:
    """What tells a body from one that was damaged on disk."""
    return zlib.crc32(body.encode())


def as_stored(seq: int, stored: bytes | None, crc: object) -> Spooled:
    """A row of the file. One without a checksum was written by a release that made none."""
    content = stored or b""
    sound = crc is None or crc == zlib.crc32(content)
    return Spooled(seq, content.decode("utf-8", "replace"), sound)

"""How does the account of a spool outlive damage to the spool? In a small file beside it."""

import json
import os
import zlib
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from uptimeo.heartbeats.account import Account, Aside
from uptimeo.heartbeats.row_numbers import Ranges

_PAGE = 4096  # written at once: a killed process leaves the old page or the new one


class Ledger:
    """One line: a checksum and the account as JSON.

    It is written without an fsync, as that would double the cost of a heartbeat: a killed process
    loses nothing of it, a power cut perhaps the last half minute. A disk that refuses it costs
    the count after damage, never a heartbeat.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Account | None:
        """The account; None if there is no file. One that cannot be read is an inexact account."""
        try:
            line = self._path.read_bytes().split(b"\n", 1)[0]
            crc, text = line.split(b" ", 1)
            if int(crc, 16) != zlib.crc32(text.rstrip()):
                return Account(exact=False)
            return _account(json.loads(text))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return Account(exact=False)

    def write(self, account: Account) -> None:
        """Keep it, for as long as the system lives."""
        text = json.dumps(asdict(account), separators=(",", ":")).encode()
        line = b"%08x %s" % (zlib.crc32(text), text)
        with suppress(OSError):
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
            os.pwrite(self._file, line.ljust(_PAGE - 1) + b"\n", 0)

    def sync(self) -> None:
        """Let what was written survive a power cut."""
        with suppress(OSError):
            if self._file is not None:
                os.fsync(self._file)

    def close(self) -> None:
        """End in order."""
        self.sync()
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _account(fields: dict[str, Any]) -> Account:
    return Account(
        removals=int(fields["removals"]),
        waiting=_ranges(fields["waiting"]),
        whole=bool(fields["whole"]),
        asides=tuple(
            Aside(
                file=str(aside["file"]),
                missing=_ranges(aside["missing"]),
                after=int(aside["after"]),
            )
            for aside in fields["asides"]
        ),
        lost=int(fields["lost"]),
        exact=bool(fields["exact"]),
    )


def _ranges(pairs: list[list[int]]) -> Ranges:
    return tuple((int(first), int(last)) for first, last in pairs)

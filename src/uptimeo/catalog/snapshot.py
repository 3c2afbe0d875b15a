"""The last good configuration on disk, for a start without a database."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from uptimeo.domain.secret import SealedSecret
from uptimeo.files import replace_file
from uptimeo.storage.monitors import MonitorRow

_BYTES = ("nonce", "ciphertext")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the tables say: rows with references, and the secrets of these, sealed."""

    rows: Sequence[MonitorRow] = ()
    sealed: Sequence[SealedSecret] = ()


class CatalogSnapshot:
    """One file of rows. It may hold secrets that rows say themselves: only its owner reads it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "monitors.json"

    def save(self, seen: Configuration) -> None:
        """Keep this, whole or not at all. A disk that refuses costs the next start only."""
        rows = [asdict(row) for row in seen.rows]
        text = json.dumps({"rows": rows, "secrets": [_packed(each) for each in seen.sealed]})
        with suppress(OSError):
            replace_file(self._path, text)

    def load(self) -> Configuration:
        """What was saved last; nothing if there is no file that can be read."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            if isinstance(found, list):  # as releases without secrets wrote it
                found = {"rows": found, "secrets": []}
            return Configuration(
                [MonitorRow(**_known(row, MonitorRow)) for row in found["rows"]],
                [_unpacked(each) for each in found["secrets"]],
            )
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            return Configuration()


def _packed(sealed: SealedSecret) -> dict[str, Any]:
    row = asdict(sealed)
    return row | {name: b64encode(row[name]).decode() for name in _BYTES}


def _unpacked(row: Mapping[str, Any]) -> SealedSecret:
    known = _known(row, SealedSecret)
    return SealedSecret(**known | {name: b64decode(known[name]) for name in _BYTES})


def _known(row: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    return {key: row[key] for key in {field.name for field in fields(kind)} & row.keys()}

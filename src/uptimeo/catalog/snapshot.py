"""The last good configuration on disk, for a start without a database."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from uptimeo.files import replace_file
from uptimeo.storage.monitors import MonitorRow


class CatalogSnapshot:
    """One file of rows. It may hold secrets of the rows, so only its owner reads it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "monitors.json"

    def save(self, rows: Iterable[MonitorRow]) -> None:
        """Keep these rows, whole or not at all. A disk that refuses costs the next start only."""
        text = json.dumps([asdict(row) for row in rows])
        with suppress(OSError):
            replace_file(self._path, text)

    def load(self) -> list[MonitorRow]:
        """The rows of the last save; none if there is no file that can be read."""
        names = {field.name for field in fields(MonitorRow)}
        try:
            found = json.loads(self._path.read_text("utf-8"))
            return [MonitorRow(**{key: row[key] for key in names & row.keys()}) for row in found]
        except (OSError, ValueError, AttributeError, TypeError):
            return []

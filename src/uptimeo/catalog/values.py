"""What do the references of config rows stand for on this host, and may they be used at all?

Who edits rows can send a value to a server of his own. So only what the operator has set aside
for rows can be reached: variables with a certain beginning, and files below one directory.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uptimeo.catalog.sealing import SETTING as KEY_FILE
from uptimeo.catalog.sealing import KeyRing
from uptimeo.domain.errors import FatalError, SealError
from uptimeo.domain.references import Reference, Source, Values
from uptimeo.domain.secret import LONGEST, SealedSecret, value_fault

ENV_PREFIX = "UPTIMEO_SECRET_"
DIRECTORY = "UPTIMEO_SECRETS_DIR"


class _MissingError(Exception):
    """Why a reference cannot be resolved; without any value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReader:
    """Resolves references. `private` are files that no row may read, wherever they lie."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: Path | None = None
    key_file: Path | None = None
    private: tuple[Path, ...] = ()

    def read(self, wanted: Iterable[Reference], sealed: Iterable[SealedSecret] = ()) -> Values:
        """The values as they are now, and reasons for those that cannot be had; blocks."""
        rows: dict[str, SealedSecret] = {}
        for row in sealed:
            if row.datacenter_id is not None or row.name not in rows:
                rows[row.name] = row
        known: dict[Reference, str] = {}
        missing: dict[Reference, str] = {}
        for reference in sorted(wanted):
            try:
                known[reference] = _usable(self._value(reference, rows))
            except (_MissingError, SealError, FatalError) as error:
                missing[reference] = str(error)
        return Values(known, missing)

    def _value(self, reference: Reference, rows: Mapping[str, SealedSecret]) -> str:
        match reference.source:
            case Source.ENV:
                return self._variable(reference.name)
            case Source.FILE:
                return self._file(reference.name)
            case Source.SECRET:
                return self._secret(rows.get(reference.name))

    def _variable(self, name: str) -> str:
        if not name.startswith(ENV_PREFIX):
            raise _MissingError(f"is not for rows: only {ENV_PREFIX}... is")
        if name not in self.environment:
            raise _MissingError("is not set for the agent")
        return self.environment[name]

    def _file(self, name: str) -> str:
        if self.directory is None:
            raise _MissingError(f"cannot be read: {DIRECTORY} is not set for the agent")
        try:
            root = self.directory.resolve(strict=True)
            path = (root / name).resolve(strict=True)
            if not path.is_relative_to(root):
                raise _MissingError(f"is not below {DIRECTORY}")
            content = _content(path, self.private)
        except (OSError, ValueError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "it is no path"
            raise _MissingError(f"cannot be read: {why}") from error
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise _MissingError("is not text in UTF-8") from error
        return text.removesuffix("\n").removesuffix("\r")

    def _secret(self, row: SealedSecret | None) -> str:
        if row is None:
            raise _MissingError("is not there: `uptimeo secret set` saves one")
        if self.key_file is None:
            raise _MissingError(f"cannot be opened: {KEY_FILE} is not set for the agent")
        return KeyRing.read(self.key_file).open(row)


def _content(path: Path, private: tuple[Path, ...]) -> bytes:
    """The bytes of a regular file that is none of the private ones; raises OSError."""
    # Not to hang on a pipe; and what was resolved is no link.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _MissingError("is not a file")
        if any(_is(status, other) for other in private):
            raise _MissingError("is not for rows")
        return file.read(LONGEST + 1)


def _is(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, path.stat())
    except OSError:
        return False


def _usable(value: str) -> str:
    if (fault := value_fault(value)) is not None:
        raise _MissingError(fault)
    return value

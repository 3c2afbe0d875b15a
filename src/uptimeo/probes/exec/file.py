"""Which commands may be run, with which arguments? The allow-list of the agent's own host.

    [disk]
    argv = ["/usr/lib/nagios/plugins/check_disk", "-w", "{warning}", "-p", "/"]
    timeout_s = 5

    [disk.arguments]
    warning = "[0-9]{1,2}%"

Whoever writes config rows chooses among these; only the owner of the host says what they are.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from uptimeo.domain.result import ErrorType
from uptimeo.probes.answers.matching import Pattern, PatternTimeoutError, occurs
from uptimeo.probes.failing import fail

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_MAX_FILE_BYTES = 1_048_576
_MAX_VALUE = 200


class Command(BaseModel):
    """One entry: what is run, which arguments it takes, and for how long it may run."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    argv: tuple[str, ...] = Field(min_length=1, max_length=100)
    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    arguments: dict[str, Pattern] = Field(default_factory=dict, max_length=20)
    environment: dict[str, str] = Field(default_factory=dict, max_length=50)

    @field_validator("argv")
    @classmethod
    def _program(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0].startswith("/") or _PLACEHOLDER.search(argv[0]):
            raise ValueError("argv must begin with the absolute path of a program")
        return argv

    @model_validator(mode="after")
    def _placeholders_are_declared(self) -> "Command":
        used = {name for part in self.argv for name in _PLACEHOLDER.findall(part)}
        if undeclared := sorted(used - self.arguments.keys()):
            raise ValueError(f"{{{undeclared[0]}}} is not among the arguments")
        if unused := sorted(self.arguments.keys() - used):
            raise ValueError(f"the argument {unused[0]!r} is nowhere in argv")
        return self

    def filled(self, given: Mapping[str, str]) -> list[str]:
        """The words to run; ValueError if the arguments are not those that are declared."""
        if given.keys() != self.arguments.keys():
            wanted = ", ".join(sorted(self.arguments)) or "none"
            raise ValueError(f"it takes the arguments: {wanted}")
        for name, value in given.items():
            if not _fits(self.arguments[name], value):
                raise ValueError(f"the argument {name!r} is not of the form declared for it")
        return [_PLACEHOLDER.sub(lambda found: given[found[1]], part) for part in self.argv]


def read_commands(path: Path) -> dict[str, Command]:
    """The entries by name.

    Raises TargetError (our own fault) if the file cannot be read or somebody else could write it.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise fail(ErrorType.MISCONFIGURED, f"{path}: {error.strerror}") from error
    with os.fdopen(opened, "rb") as file:
        _assert_trusted(os.fstat(opened), path)
        text = file.read(_MAX_FILE_BYTES)
    try:
        return TypeAdapter(dict[str, Command]).validate_python(tomllib.loads(text.decode()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise fail(ErrorType.MISCONFIGURED, f"{path}: {where}: {first['msg']}") from error
    except ValueError as error:
        raise fail(ErrorType.MISCONFIGURED, f"{path}: {error}") from error


def _assert_trusted(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise fail(ErrorType.MISCONFIGURED, f"{path} is no file")
    if found.st_uid not in (0, os.geteuid()):
        raise fail(ErrorType.MISCONFIGURED, f"{path} belongs to another user: nothing is run")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"{path} can be written by others: nothing is run; chmod go-w {path}"
        raise fail(ErrorType.MISCONFIGURED, text)


def _fits(pattern: str, value: str) -> bool:
    if len(value) > _MAX_VALUE or "\x00" in value:
        return False
    try:
        return occurs(rf"\A(?:{pattern})\Z", value)
    except PatternTimeoutError:
        return False

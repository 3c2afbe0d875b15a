"""What is one row of the matrix? A program, how it is started, and what our checks make of it."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.support.programs import HOST, Place
from uptimeo.domain.result import ErrorType

# As a value of an option: what stands for something that is known only when the program runs.
# So does "<server NAME>", for the address of the port of that name.
AUTHORITY = "<the authority of the zoo>"
LIST = "<the list of revoked certificates>"
_SERVER = re.compile(r"<server (\w+)>")
TRUSTING: Mapping[str, Any] = {"tls": {"ca_pem": AUTHORITY}}
HTTPS_TRUSTING: Mapping[str, Any] = {"ca_pem": AUTHORITY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One check: in `url` a {name} stands for the port of that name. `error` None means up."""

    says: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    error: ErrorType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server nobody here wrote: `find` answers with its path, or None if it is not there."""

    name: str
    package: str
    find: Callable[[], str | None]
    start: Callable[[str, Place], AbstractContextManager[None]]
    checks: tuple[Expected, ...]


def resolved(value: Any, place: Place) -> Any:
    """Options in which every stand-in is replaced by what it stands for."""
    match value:
        case Mapping():
            return {key: resolved(each, place) for key, each in value.items()}
        case list() | tuple():
            return [resolved(each, place) for each in value]
        case str() if value == AUTHORITY:
            return place.zoo.animals["good"].trusted
        case str() if value == LIST:
            return place.zoo.animals["revoked"].crl
        case str() if found := _SERVER.fullmatch(value):
            return f"{HOST}:{place.ports[found[1]]}"
        case _:
            return value

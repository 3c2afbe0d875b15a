"""Does a pattern occur in what a target sent, decided in bounded time? The only importer of regex.

A pattern such as `(a+)+$` takes years on the wrong text; the module `re` cannot be stopped.
"""

from typing import Annotated, AnyStr

import regex
from pydantic import AfterValidator, Field

TIME_LIMIT_S = 0.25
MAX_PATTERN = 2000


class PatternTimeoutError(Exception):
    """A pattern did not come to an end; the message says after how long."""


def checked_pattern(pattern: str) -> str:
    """The pattern, if it is one; ValueError says what is wrong with it."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"the pattern is longer than {MAX_PATTERN} characters")
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    return pattern


def occurs(pattern: AnyStr, text: AnyStr, limit_s: float = TIME_LIMIT_S) -> bool:
    """Whether the pattern is found anywhere; `^` and `$` are the ends of the whole text.

    Raises PatternTimeoutError. The interpreter lock is given back meanwhile.
    """
    return end_of(pattern, text, limit_s) is not None


def end_of(pattern: AnyStr, text: AnyStr, limit_s: float = TIME_LIMIT_S) -> int | None:
    """Where the first find ends; None if there is none. As `occurs` otherwise."""
    try:
        found = regex.search(pattern, text, timeout=limit_s, concurrent=True)
    except TimeoutError as error:
        raise PatternTimeoutError(
            f"the pattern {pattern!r} did not come to an end within {limit_s * 1000:.0f} ms"
        ) from error
    return None if found is None else int(found.end())


# A field of options that holds a pattern.
Pattern = Annotated[
    str, AfterValidator(checked_pattern), Field(json_schema_extra={"format": "regex"})
]

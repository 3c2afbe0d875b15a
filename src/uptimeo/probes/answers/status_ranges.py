"""Is a status among "200-299,301"? Pure."""

import re
from typing import Annotated

from pydantic import AfterValidator

_RANGE = re.compile(r"\s*([1-5]\d\d)\s*(?:-\s*([1-5]\d\d)\s*)?")


def checked_ranges(text: str) -> str:
    """The text, if it names statuses; ValueError names the part that does not."""
    for part in text.split(","):
        if not _RANGE.fullmatch(part):
            raise ValueError(f"{part.strip()!r} is not a status or range such as 200-299")
    return text


def in_ranges(text: str, status: int) -> bool:
    """Whether one of the ranges has that status in it."""
    for part in text.split(","):
        if found := _RANGE.fullmatch(part):
            low, high = found[1], found[2] or found[1]
            if int(low) <= status <= int(high):
                return True
    return False


StatusRanges = Annotated[str, AfterValidator(checked_ranges)]

"""Has what a check saw changed since the check of that monitor before?"""

from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import ref

from uptimeo.probes.http.options import HttpOptions


@dataclass(frozen=True, slots=True)
class _Seen:
    options: "ref[HttpOptions]"
    value: Any


class Memory:
    """What was last seen by monitor, which is its options, and for as long as these are in use."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], _Seen] = {}

    def changed(self, options: HttpOptions, topic: str, value: Any) -> bool:
        """Whether that is the first value for a topic, or another one than last time."""
        key = (id(options), topic)
        seen = self._seen.get(key)
        # Two monitors with equal options are two: each of them tells what it saw.
        if seen is not None and seen.options() is options and seen.value == value:
            return False
        gone = ref(options, partial(self._forget, key))
        self._seen[key] = _Seen(gone, value)
        return True

    def _forget(self, key: tuple[int, str], _options: "ref[HttpOptions]") -> None:
        seen = self._seen.get(key)
        if seen is not None and seen.options is _options:
            del self._seen[key]

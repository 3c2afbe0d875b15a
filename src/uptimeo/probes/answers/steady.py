"""Which facts of a check are news? What stays the same is in the row where it was first seen."""

import json
import weakref
from collections.abc import Mapping
from typing import Any

from uptimeo.probes.base import ProbeOptions


class SteadyFacts:
    """Remembers, for as long as a monitor is in force, what its checks showed last.

    A monitor is known by its options object: two monitors with equal options are two.
    """

    def __init__(self) -> None:
        self._last: dict[int, dict[str, int]] = {}

    def news(
        self, options: ProbeOptions, facts: Mapping[str, Any], *, everything: bool = False
    ) -> dict[str, Any]:
        """Those of the facts that differ from the last time, or everything if asked for."""
        last = self._of(options)
        now = {name: hash(json.dumps(value, sort_keys=True)) for name, value in facts.items()}
        found = {
            name: value
            for name, value in facts.items()
            if everything or last.get(name) != now[name]
        }
        last |= now
        return found

    def _of(self, options: ProbeOptions) -> dict[str, int]:
        key = id(options)
        if key not in self._last:
            self._last[key] = {}
            weakref.finalize(options, self._last.pop, key, None).atexit = False
        return self._last[key]

"""Which facts of a check are news? What stays the same is in the row where it was first seen."""

import json
import weakref
from collections.abc import Mapping
from typing import Any

from uptimeo.probes.base import Family, ProbeOptions


class SteadyFacts:
    """Remembers, for as long as a monitor is in force, what its checks showed last.

    A monitor is known by its options object: two monitors with equal options are two.
    """

    def __init__(self) -> None:
        self._last: dict[int, dict[str, int]] = {}

    def news(
        self,
        options: ProbeOptions,
        facts: Mapping[str, Any],
        *,
        family: Family = Family.ANY,
        everything: bool = False,
    ) -> dict[str, Any]:
        """Those of the facts that differ from the last time, or everything if asked for.

        What a check by another family of addresses showed is no last time.
        """
        last = self._of(options)
        found = {}
        for name, value in facts.items():
            key, now = f"{name} {family}", hash(json.dumps(value, sort_keys=True))
            if everything or last.get(key) != now:
                found[name] = value
            last[key] = now
        return found

    def _of(self, options: ProbeOptions) -> dict[str, int]:
        key = id(options)
        if key not in self._last:
            self._last[key] = {}
            weakref.finalize(options, self._last.pop, key, None).atexit = False
        return self._last[key]

"""What does Grafana make of a query before PostgreSQL gets it?

The macros and formats of https://grafana.com/docs/grafana/latest/datasources/postgres/, those that
our queries use.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_KNOWN = re.compile(r"\$(?!__)\w+|\$\{|\$__\w+")
# What Grafana takes for a step, as far as we go.
_STEPS_S = (300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The time and the values of variables that somebody chose."""

    since: datetime
    until: datetime
    variables: Mapping[str, Sequence[str]]
    points: int = 120

    def step(self) -> timedelta:
        """The least step that makes no more points, and not less than five minutes."""
        wanted = (self.until - self.since).total_seconds() / self.points
        return timedelta(seconds=next((s for s in _STEPS_S if s >= wanted), math.ceil(wanted)))

    def asked(self, query: str) -> str:
        """The query as PostgreSQL gets it. Raises ValueError for what Grafana would not know."""
        since, until = (_quoted(_iso(each)) for each in (self.since, self.until))
        text = re.sub(r"\$\{(\w+)(?::(\w+))?\}", lambda found: self._value(*found.groups()), query)
        text = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN {since} AND {until}", text)
        text = text.replace("$__timeFrom()", since).replace("$__timeTo()", until)
        text = text.replace("$__interval_ms", str(int(self.step().total_seconds() * 1000)))
        if unknown := _KNOWN.search(text):
            raise ValueError(f"nothing stands for {unknown[0]}: {query}")
        return text

    def _value(self, name: str, style: str | None) -> str:
        values = self.variables[name]
        if style == "sqlstring":
            return ",".join(map(_quoted, values))
        if style is None and len(values) == 1:
            return values[0]
        raise ValueError(f"${{{name}:{style}}} has no meaning here: {values}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

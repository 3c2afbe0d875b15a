"""How is a finding put into words? Pure."""

from collections.abc import Callable, Iterable, Sequence

from uptimeo.doctor.examinations import EXAMINATIONS
from uptimeo.doctor.facts import Seen, T, Unseen
from uptimeo.domain.finding import Condition, Finding
from uptimeo.domain.text import one_line

_LONGEST = 400
_MORE = "as a person, log in under a role in uptimeo_readonly: docs/roles.md"
_SIZES = ("kB", "MB", "GB", "TB")
_UNITS = ((172_800, 86_400, "days"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


class Subject:
    """The findings of one of `EXAMINATIONS`, about one thing unless they name another."""

    def __init__(self, name: str, what: str = "") -> None:
        self._examination = name
        self._what = what or EXAMINATIONS[name].title

    def ok(self, value: str, advice: str = "", what: str = "") -> Finding:
        """Nothing is to be done; `advice` is worth knowing all the same."""
        return self._found(Condition.OK, value, advice, what)

    def warning(self, value: str, advice: str, what: str = "") -> Finding:
        """To be looked at in working hours."""
        return self._found(Condition.WARNING, value, advice, what)

    def critical(self, value: str, advice: str, what: str = "") -> Finding:
        """Checks, heartbeats or what is known of them are at stake now, or will be soon."""
        return self._found(Condition.CRITICAL, value, advice, what)

    def unknown(self, why: str, advice: str = "") -> Finding:
        """It could not be seen."""
        return self._found(Condition.UNKNOWN, why, advice, "")

    def judged(self, fact: Seen[T], judge: Callable[[T], Iterable[Finding]]) -> list[Finding]:
        """What the judge says of the fact, or that it was not seen."""
        if isinstance(fact, Unseen):
            return [self.unknown(fact.why, _MORE if fact.right else "")]
        return list(judge(fact))

    def _found(self, condition: Condition, value: str, advice: str, what: str) -> Finding:
        return Finding(
            examination=self._examination,
            condition=condition,
            what=one_line(what or self._what, 120),
            value=one_line(value, _LONGEST),
            advice=advice,
        )


def span(seconds: float) -> str:
    """A length of time in one unit: `3 s`, `5 min`."""
    whole = round(seconds)
    _, unit_s, unit = next(each for each in _UNITS if whole >= each[0] or not each[0])
    return f"{whole // unit_s} {unit}"


def size(count: float) -> str:
    """Bytes in one unit: `2.0 GB`."""
    if count < 1000:
        return f"{count:.0f} bytes"
    power = min(4, next(n for n in range(1, 9) if count < 1000 ** (n + 1)))
    return f"{count / 1000**power:.1f} {_SIZES[power - 1]}"


def some(names: Sequence[str], most: int = 5) -> str:
    """A few of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Which marks and colours stand for a state, and what can this console show of a text? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rich.cells import cell_len, set_cell_size

from uptimeo.domain.result import Phases
from uptimeo.domain.text import one_line

_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One state on the screen. `level` is its cell in a strip of history: the worse, the taller."""

    style: str
    mark: str
    ascii_mark: str
    level: str = " "
    ascii_level: str = " "


_LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "up": Look(style="green", mark="✔", ascii_mark="+", level="▂", ascii_level="."),
        "degraded": Look(style="yellow", mark="▲", ascii_mark="!", level="▄", ascii_level="-"),
        "critical": Look(style="red", mark="▲", ascii_mark="!", level="▆", ascii_level="="),
        "down": Look(style="bold red", mark="✘", ascii_mark="x", level="█", ascii_level="#"),
        "unknown": Look(style="magenta", mark="?", ascii_mark="?", level="?", ascii_level="?"),
        "invalid": Look(style="magenta", mark="?", ascii_mark="?"),
        "pending": Look(style="dim", mark="…", ascii_mark="~"),
        "disabled": Look(style="dim", mark="\N{EN DASH}", ascii_mark="-"),
    }
)


def look(state: str) -> Look:
    """The look of a status, or of a monitor that has none; of anything else, that of unknown."""
    return _LOOKS.get(state, _LOOKS["unknown"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """Writes only what the console can show: UTF-8, or plain ASCII."""

    ascii_only: bool

    def mark(self, state: str) -> str:
        """The one-cell sign of a state."""
        return look(state).ascii_mark if self.ascii_only else look(state).mark

    def level(self, state: str) -> str:
        """The one-cell sign of a state in a strip of history."""
        return look(state).ascii_level if self.ascii_only else look(state).level

    @property
    def absent(self) -> str:
        """What stands where there is no value."""
        return "-" if self.ascii_only else "\N{EN DASH}"

    @property
    def ellipsis(self) -> str:
        """What stands where something was left out."""
        return "..." if self.ascii_only else "…"

    @property
    def separator(self) -> str:
        """What stands between the parts of a line."""
        return ", " if self.ascii_only else " · "

    def foreign(self, text: str, limit: int = _MESSAGE) -> str:
        """A text from outside: one line, nothing that moves the cursor or cannot be encoded."""
        line = one_line(text, limit)
        return line.encode("ascii", "backslashreplace").decode() if self.ascii_only else line

    def fit(self, text: str, width: int) -> str:
        """`text` in at most `width` cells, with an ellipsis if it had to be cut."""
        if cell_len(text) <= width:
            return text
        return set_cell_size(text, max(0, width - len(self.ellipsis))).rstrip() + self.ellipsis


def slowest_phase(phases: Phases) -> str | None:
    """The phase that took longest; of equals the first; None if nothing was measured."""
    measured = [*phases.measured(), *phases.own.items()]
    return max(measured, key=lambda pair: pair[1])[0] if measured else None

"""Which heartbeats ought to be in the spool, and how many are lost? Pure.

The order of writes makes it right. A row is entered here after the disk has it, and taken off
before the database deletes it: a process killed in between leaves a row too few here, never one
too many. So whatever is here and not in the file is lost. The one exception is an account that
is older than the file, after a power cut: it knows fewer removals than the file does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from uptimeo.heartbeats.row_numbers import Ranges, count, difference, ranges, union

_MOST_RANGES = 60  # an outage makes two or three; thinning makes more than is worth writing
_REMOVALS = 2**31  # what fits into user_version, where the database keeps its own count


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a database file says: the rows that wait, and how often some were removed."""

    waiting: Ranges
    removals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A damaged file whose salvage is not complete. Rows up to number `after` are done with."""

    file: str
    missing: Ranges = ()
    after: int = 0


@dataclass(frozen=True, slots=True)
class Loss:
    """How many acknowledged heartbeats are gone; not `exact` if the account is out of date."""

    rows: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Rows acknowledged and neither sent nor set aside; `whole` if none was left out.

    Of those that had to be in a file and were not, `lost` have not been told yet. It is `exact` if
    that is neither too many nor too few.
    """

    removals: int = 1  # 0 is a file that nobody has kept an account of
    waiting: Ranges = ()
    whole: bool = True
    asides: tuple[Aside, ...] = ()
    lost: int = 0
    exact: bool = True

    def acknowledged(self, first: int, last: int) -> "Account":
        """These are on the disk. Of too many ranges the newest are kept: they are most at risk."""
        waiting = union(self.waiting, ((first, last),))
        whole = self.whole and len(waiting) <= _MOST_RANGES
        return replace(self, waiting=waiting[-_MOST_RANGES:], whole=whole)

    def removed(self, numbers: Iterable[int]) -> "Account":
        """These are about to leave the file."""
        waiting = difference(self.waiting, ranges(sorted(numbers)))
        return replace(
            self,
            removals=(self.removals + 1) % _REMOVALS,
            waiting=waiting[-_MOST_RANGES:],
            whole=self.whole and len(waiting) <= _MOST_RANGES,
        )

    def opened(self, found: Content) -> "Account":
        """A sound file was opened. If it knows more removals, it is right about what is missing."""
        behind = self._is_behind(found.removals)
        missing = () if behind else difference(self.waiting, found.waiting)
        exact = self.exact and (self.whole or not missing)
        return replace(self._starting(found), lost=self.lost + count(missing), exact=exact)

    def moved_aside(self, file: str, removals: int | None, found: Content) -> "Account":
        """A damaged file, with that many removals as far as it tells, was replaced by another."""
        behind = removals is not None and self._is_behind(removals)
        before = self.waiting[0][0] - 1 if self.waiting and self.whole and not behind else 0
        aside = Aside(file=file, missing=self.waiting, after=before)
        exact = self.exact and self.whole and not behind
        return replace(self._starting(found), asides=(*self.asides, aside), exact=exact)

    def restored(self, file: str, numbers: Iterable[int]) -> "Account":
        """These rows of a file aside are in the present one, or were never missing."""
        done = ranges(sorted(numbers))
        return self._with(
            [
                replace(a, missing=difference(a.missing, done), after=done[-1][1])
                if done and a.file == file
                else a
                for a in self.asides
            ]
        )

    def salvaged(self, file: str) -> "Account":
        """There is no more to be had from that file."""
        ended = [aside for aside in self.asides if aside.file == file]
        left = self._with(aside for aside in self.asides if aside.file != file)
        return replace(left, lost=self.lost + sum(count(aside.missing) for aside in ended))

    def loss(self) -> Loss | None:
        """What has to be told, once there are no asides; None if nothing has."""
        return Loss(self.lost, self.exact) if self.lost or not self.exact else None

    def settled(self) -> "Account":
        """What was lost has been told."""
        return replace(self, lost=0, exact=True)

    def _is_behind(self, removals: int) -> bool:
        return 0 < (removals - self.removals) % _REMOVALS < _REMOVALS // 2

    def _starting(self, found: Content) -> "Account":
        return replace(
            self,
            removals=found.removals if self._is_behind(found.removals) else self.removals,
            waiting=found.waiting[-_MOST_RANGES:],
            whole=len(found.waiting) <= _MOST_RANGES,
        )

    def _with(self, asides: Iterable[Aside]) -> "Account":
        return replace(self, asides=tuple(asides))

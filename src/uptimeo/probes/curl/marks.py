"""How do libcurl's cumulative marks become phases? Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from uptimeo.domain.result import Phase, Phases

PROXY = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """By how much later than it happened libcurl's marks were set, in µs: our own time.

    `tls` has in it what we ourselves computed before the handshake's first message and after its
    last; `first` and `last` are of the first and the last byte of the answer.
    """

    connect: int = 0
    tls: int = 0
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """libcurl's `*_TIME_T` figures of one transfer, in µs from its start; 0 is "not reached".

    `tunnel` is when a proxy had connected us to the target; None if there is no such step.
    """

    queue: int
    namelookup: int
    connect: int
    appconnect: int
    pretransfer: int
    posttransfer: int
    starttransfer: int
    total: int
    tunnel: int | None = None
    late: Lateness = Lateness()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One transfer in ms; `reached` is the phase in which it ended.

    What a proxy took to connect us to the target is the phase `proxy`.
    """

    phases: Phases
    reached: Phase | str
    ttfb_ms: float | None
    total_ms: float


def measure(marks: Marks, *, tls: bool, literal: bool) -> Measured:
    """Walk the marks in order and stop at the first that was not reached.

    Stopping matters: when a transfer fails before the request is sent, libcurl 8.23 fills
    pretransfer, posttransfer and starttransfer with the total, although it never got there.
    `literal` is a host given as an address: there was no lookup, so there is no DNS phase.
    Whatever the marks are, no phase is negative and their sum is at most the total.
    """
    # An answer may begin while the request is still being sent; then nothing waited.
    sent = min(marks.posttransfer, marks.starttransfer) or marks.posttransfer
    steps = [
        _Step(Phase.DNS, marks.namelookup, counts=not literal),
        _Step(Phase.CONNECT, marks.connect),
        *([_Step(PROXY, marks.tunnel)] if marks.tunnel is not None else []),
        *([_Step(Phase.TLS, marks.appconnect)] if tls else []),
        _Step(Phase.SEND, marks.pretransfer, counts=False),
        _Step(Phase.SEND, sent),
        _Step(Phase.WAIT, marks.starttransfer),
        _Step(Phase.TRANSFER, marks.total),
    ]
    values: dict[str, float] = {}
    last = marks.queue
    for step in steps:
        missed = step.mark <= 0
        end = marks.total if missed else min(step.mark, marks.total)
        if step.counts or missed:
            values[str(step.phase)] = _ms(end - last)
        if missed:
            break
        last = max(last, end)
    answered = step.phase is Phase.TRANSFER
    before_ms, late_ms = _take_out(marks.late, values)
    ttfb_ms = _less(_ms(min(marks.starttransfer, marks.total)), before_ms)
    return Measured(
        phases=Phases.of(values),
        reached=step.phase,
        ttfb_ms=ttfb_ms if answered else None,
        total_ms=_less(_ms(marks.total), late_ms),
    )


def _take_out(late: Lateness, values: dict[str, float]) -> tuple[float, float]:
    """Take our own lateness out of the phases; what of it was before the first byte, and all.

    How late we noticed the first byte shortens the wait and is time of the transfer: the rest of
    the answer was on its way meanwhile.
    """
    taken = {
        phase: min(values.get(phase, 0.0), _ms(us))
        for phase, us in ((Phase.CONNECT, late.connect), (Phase.TLS, late.tls))
    }
    for phase, ms in taken.items():
        if ms:
            values[phase] = _less(values[phase], ms)
    before = sum(taken.values())
    if Phase.TRANSFER not in values:
        return before, before
    first = min(values[Phase.WAIT], _ms(late.first))
    last = min(values[Phase.TRANSFER] + first, _ms(late.last))
    values[Phase.WAIT] = _less(values[Phase.WAIT], first)
    values[Phase.TRANSFER] = _less(values[Phase.TRANSFER] + first, last)
    return before + first, before + last


def _less(ms: float, less_ms: float) -> float:
    """The difference in whole µs."""
    return max(0.0, round(ms - less_ms, 3))


class _Step(NamedTuple):
    """The phase that ends at a mark; one that does not count falls to the unattributed rest."""

    phase: Phase | str
    mark: int
    counts: bool = True


def _ms(us: int) -> float:
    return max(0, us) / 1000

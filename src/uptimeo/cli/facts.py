"""How do the facts of a check look to a person? Pure.

Those of a known form are drawn for reading: hops, families, certificate, assertions, pings, DNS
answers, capabilities. Any other one is a name and its value.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from uptimeo.cli.palette import Pen, look
from uptimeo.domain.details import FailedAttempt

_LABEL = 12
_WIDEST_LABEL = 18
_LONGEST_LABEL = 40
_TEXT = 500
_SHOWN = 10
_DAY_S = 86_400


def attempt_lines(failed: Iterable[FailedAttempt], pen: Pen, width: int) -> Iterator[Text]:
    """The tries that failed before the last one, and why."""
    for number, attempt in enumerate(failed, 1):
        failure = attempt.failure
        took = "" if attempt.total_ms is None else f" after {attempt.total_ms:.2f} ms"
        where = f" in {failure.phase}" if failure.phase else ""
        label = f"{pen.mark('down')} try {number}"
        yield from _entry(label, f"{failure.type}{where}{took}", look("down").style, pen, width)
        yield from _entry("", pen.foreign(failure.message, _TEXT), "", pen, width)


def fact_lines(
    facts: Mapping[str, Any], pen: Pen, width: int, now: datetime | None = None
) -> Iterator[Text]:
    """The facts, line by line, none wider than `width`; with `now`, how long they will hold."""
    drawn = list(_all_drawn(facts, pen, now))
    fitting = [len(label) for label, _, _ in drawn if len(label) < _WIDEST_LABEL]
    column = max(_LABEL, *(length + 1 for length in fitting), 0)
    for label, text, style in drawn:
        yield from _entry(label, pen.foreign(text, _TEXT), style, pen, width, column)


def _all_drawn(facts: Mapping[str, Any], pen: Pen, now: datetime | None) -> Iterator["_Line"]:
    for name, value in facts.items():
        try:
            yield from list(_drawn(name, value, pen, now))
        except (KeyError, TypeError, AttributeError, ValueError):
            yield name, _plain(value), ""  # a fact of that name, but of another form


_Line = tuple[str, str, str]


def _drawn(name: str, value: Any, pen: Pen, now: datetime | None) -> Iterator[_Line]:
    """Label, text and style of each line."""
    match name:
        case "certificate":
            yield from _certificate(value, now)
        case "assertions":
            for assertion in value:
                yield _assertion(assertion, pen)
        case "ping":
            yield from _ping(value)
        case "answers":
            yield from _listed(name, value, pen)
        case "hops":
            for number, hop in enumerate(value, 1):
                yield f"hop {number}", _hop(hop, pen), ""
        case "families":
            for family, summary in value.items():
                yield family, _family(summary, pen), ""
        case _:
            yield name, _in_words(name, value, pen), ""


def _in_words(name: str, value: Any, pen: Pen) -> str:
    """A fact that needs one line."""
    match name:
        case "tls":
            return pen.separator.join(str(each) for each in value.values() if each)
        case "dns":
            flags = f", flags {value['flags']}" if value["flags"] else ""
            return f"{value['rcode']} from {value['server']} by {value['transport']}{flags}"
        case "offers":
            return ", ".join(value)
        case _:
            return _plain(value)


def _hop(hop: Mapping[str, Any], pen: Pen) -> str:
    status = str(hop["status"] or pen.absent)
    parts = (status, f"{hop['total_ms']:.2f} ms", hop["ip"] or pen.absent, hop["url"])
    return f"{parts[0]:>3}  {parts[1]:>10}  {parts[2]:<15}  {parts[3]}"


def _family(summary: Mapping[str, Any], pen: Pen) -> str:
    total = summary["total_ms"]
    took = pen.absent if total is None else f"{total:.2f} ms"
    status = summary["status"]
    why = summary["error_type"] or ("" if status is None else f"status {status}")
    return f"{summary['outcome']:<7}  {took:>10}  {summary['ip'] or pen.absent}  {why}".rstrip()


def _certificate(value: Mapping[str, Any], now: datetime | None) -> Iterator[_Line]:
    ends = value["leaf_expires"]
    expired = now is not None and datetime.fromisoformat(ends) < now
    until = f"{'expired on' if expired else 'valid until'} {_day(ends)}{_left(ends, now)}"
    chain = value["chain_expires"]
    if chain is None:
        until += ", its chain not verified"
    elif _day(chain) != _day(ends):
        until += f", its chain until {_day(chain)}{_left(chain, now)}"
    yield "certificate", until, look("down").style if expired else ""
    yield "", f"for {', '.join(value['names'][:_SHOWN]) or value['subject']}", ""
    yield "", f"by {value['issuer']}", ""
    yield "", f"{value['key']}, SHA-256 {value['fingerprint']}", "dim"


def _left(moment: str, now: datetime | None) -> str:
    if now is None:
        return ""
    days = (datetime.fromisoformat(moment) - now).total_seconds() / _DAY_S
    return f" ({days:.0f} days)" if days >= 0 else f" ({-days:.0f} days ago)"


def _ping(value: Mapping[str, Any]) -> Iterator[_Line]:
    sent, received = value["sent"], value["received"]
    lost = f"{sent - received} of {sent} lost ({value['loss_percent']:g} %)"
    yield "loss", lost, look("down").style if sent > received else ""
    names = ("min", "avg", "max", "stddev", "jitter")
    times = [f"{name} {value[f'{name}_ms']:.3f}" for name in names if f"{name}_ms" in value]
    if times:
        yield "times in ms", ", ".join(times), ""
    rest = [f"{value[name]} {name}" for name in ("duplicates", "damaged") if name in value]
    yield "by", ", ".join([f"{value['socket']} socket", *rest]), "dim"


def _listed(name: str, value: Sequence[Any], pen: Pen) -> Iterator[_Line]:
    """Each on a line of its own, the first ones only."""
    for number, each in enumerate(value[:_SHOWN]):
        yield name if number == 0 else "", str(each), ""
    if not value:
        yield name, "none", ""
    elif len(value) > _SHOWN:
        yield "", f"{pen.ellipsis} and {len(value) - _SHOWN} more", "dim"


def _assertion(assertion: Mapping[str, Any], pen: Pen) -> _Line:
    if assertion["ok"]:
        return f"{pen.mark('up')} asserted", assertion["expected"], look("up").style
    text = f"{assertion['expected']}: got {assertion['got']}"
    return f"{pen.mark('down')} asserted", text, look("down").style


def _day(moment: str) -> str:
    return moment[:10]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return json.dumps(value, default=str)
    return str(value)


def _entry(
    label: str, text: str, style: str, pen: Pen, width: int, column: int = _LABEL
) -> Iterator[Text]:
    room = max(8, width - column - 2)
    name = pen.fit(pen.foreign(label), _LONGEST_LABEL)
    if len(name) >= column:  # too long to stand beside the others
        yield Text(f"  {name}", no_wrap=True, overflow="crop")
        name = ""
    for number, line in enumerate(textwrap.wrap(text, room) or [""]):
        head = name if number == 0 else ""
        yield Text.assemble(
            f"  {head:<{column}}",
            (pen.fit(line, room), style),
            no_wrap=True,
            overflow="crop",
        )

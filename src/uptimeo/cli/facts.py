"""How do the facts of a check look to a person? Pure.

Those of a known form are drawn for reading: hops, families, certificate, assertions. Any other one
is a name and its value.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from uptimeo.cli.palette import Pen, look

_LABEL = 12
_TEXT = 500


def fact_lines(facts: Mapping[str, Any], pen: Pen, width: int) -> Iterator[Text]:
    """The facts, line by line, none wider than `width`."""
    for name, value in facts.items():
        try:
            lines = list(_drawn(name, value, pen))
        except (KeyError, TypeError, AttributeError, ValueError):
            lines = [(name, _plain(value), "")]  # a fact of that name, but of another form
        for label, text, style in lines:
            yield from _entry(label, pen.foreign(text, _TEXT), style, pen, width)


_Line = tuple[str, str, str]


def _drawn(name: str, value: Any, pen: Pen) -> Iterator[_Line]:
    """Label, text and style of each line."""
    match name:
        case "hops":
            for number, hop in enumerate(value, 1):
                yield f"hop {number}", _hop(hop, pen), ""
        case "families":
            for family, summary in value.items():
                yield family, _family(summary, pen), ""
        case "certificate":
            yield from _certificate(value)
        case "tls":
            yield name, pen.separator.join(str(each) for each in value.values() if each), ""
        case "assertions":
            for assertion in value:
                yield _assertion(assertion, pen)
        case _:
            yield name, _plain(value), ""


def _hop(hop: Mapping[str, Any], pen: Pen) -> str:
    status = str(hop["status"] or pen.absent)
    parts = (status, f"{hop['total_ms']:.2f} ms", hop["ip"] or pen.absent, hop["url"])
    return f"{parts[0]:>3}  {parts[1]:>10}  {parts[2]:<15}  {parts[3]}"


def _family(summary: Mapping[str, Any], pen: Pen) -> str:
    total = summary["total_ms"]
    took = pen.absent if total is None else f"{total:.2f} ms"
    why = summary["error_type"] or f"status {summary['status']}"
    return f"{summary['outcome']:<7}  {took:>10}  {summary['ip'] or pen.absent}  {why}"


def _certificate(value: Mapping[str, Any]) -> Iterator[_Line]:
    until = f"valid until {_day(value['leaf_expires'])}"
    chain = value["chain_expires"]
    until += f", its chain until {_day(chain)}" if chain else ", its chain not verified"
    yield "certificate", until, ""
    yield "", f"for {', '.join(value['names'][:10]) or value['subject']}", ""
    yield "", f"by {value['issuer']}", ""
    yield "", f"{value['key']}, SHA-256 {value['fingerprint']}", "dim"


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
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return json.dumps(value, default=str)
    return str(value)


def _entry(label: str, text: str, style: str, pen: Pen, width: int) -> Iterator[Text]:
    room = max(8, width - _LABEL - 2)
    for number, line in enumerate(textwrap.wrap(text, room) or [""]):
        head = pen.fit(pen.foreign(label), _LABEL - 1) if number == 0 else ""
        yield Text.assemble(
            f"  {head:<{_LABEL}}",
            (pen.fit(line, room), style),
            no_wrap=True,
            overflow="crop",
        )

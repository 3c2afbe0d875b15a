"""`uptimeo calibrate`: how far off are the times of checks on this host, phase by phase?"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType

import click
from rich.console import Console
from rich.table import Table

from uptimeo.calibration.measure import (
    CONNECT,
    FIRST_BYTE,
    TLS,
    TRANSFER,
    Calibration,
    Plan,
    calibrated,
)
from uptimeo.cli.palette import Pen
from uptimeo.domain.text import one_line
from uptimeo.probes.registry import ProbeRegistry

_P50_MS, _P99_MS = 0.5, 3.0
_MOST_CHECKS = 100_000
_MEANING: Mapping[str, str] = MappingProxyType(
    {
        CONNECT: "all that was measured: over loopback a connection stands at once",
        TLS: "beyond what the target held its part of the handshake",
        FIRST_BYTE: "beyond what the target held the first byte",
        TRANSFER: "beyond what the target held the rest of the body",
    }
)


@click.command("calibrate")
@click.option(
    "--checks",
    type=click.IntRange(2, _MOST_CHECKS),
    default=200,
    show_default=True,
    help="How many checks to make.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1000),
    default=40.0,
    show_default=True,
    help="How many of them begin each second.",
)
@click.option(
    "--hold",
    "hold_ms",
    type=click.FloatRange(0, 1000),
    default=20.0,
    show_default=True,
    help="For how many ms the target holds each phase.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def calibrate(*, checks: int, rate: float, hold_ms: float, as_json: bool) -> None:
    """Measure this host's own error against a target with known delays.

    The target is a process of its own on 127.0.0.1. It answers over HTTPS and says in each answer
    for how long it really held it; what a check measured beyond that is our own error. Both share
    the processors of this host, so that the error has in it what they take from each other.

    Exit code 0 if each phase is off by at most 0.5 ms in the middle (p50) and 3 ms at p99, else 1.
    """
    found = asyncio.run(_measured(Plan(checks=checks, rate=rate, hold_ms=hold_ms)))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)
    click.get_current_context().exit(0 if _good(found) else 1)


async def _measured(plan: Plan) -> Calibration:
    registry = ProbeRegistry.installed()
    probe = registry.get("https")
    assert probe is not None
    try:
        return await calibrated(probe, plan)
    finally:
        await registry.aclose()


def _good(found: Calibration) -> bool:
    return not found.failed and all(each.within(_P50_MS, _P99_MS) for each in found.errors)


def _as_json(found: Calibration) -> dict[str, object]:
    return {
        "checks": found.checks,
        "failed": len(found.failed),
        "limits": {"p50_ms": _P50_MS, "p99_ms": _P99_MS},
        "good": _good(found),
        "phases": [asdict(each) for each in found.errors],
    }


def _print(found: Calibration) -> None:
    console = Console(highlight=False)
    pen = Pen(ascii_only=console.options.ascii_only)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for heading in ("phase", "p50", "p99", "max"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    table.add_column("error in ms: what it is", overflow="fold")
    for each in found.errors:
        mark = pen.mark("up" if each.within(_P50_MS, _P99_MS) else "down")
        figures = (f"{ms:.3f}" for ms in (each.p50_ms, each.p99_ms, each.max_ms))
        table.add_row(mark, each.phase, *figures, _MEANING[each.phase])
    console.print(table)
    console.print(f"{found.checks} checks; limits: p50 {_P50_MS} ms, p99 {_P99_MS} ms", style="dim")
    if found.failed:
        first = one_line(found.failed[0], 200)
        console.print(f"{len(found.failed)} checks failed, the first: {first}", style="red")

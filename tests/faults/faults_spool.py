"""Does the spool always open, and is what damage took counted, whatever became of its files?"""

import asyncio
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.damage import (
    DAMAGES,
    NOBODY,
    Specimen,
    as_nobody,
    body,
    small_disk,
    specimens,
)
from tests.faults.report import Fault, Figure, Outcome, Scale
from tests.support.builders import heartbeat
from tests.support.fakes import FakeSink, LogBook
from uptimeo.domain.errors import FatalError
from uptimeo.domain.heartbeat import to_wire
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.telemetry import HeartbeatLog

_CASES = {Scale.FULL: 500, Scale.SHORT: 100}
_OPEN_S = 2.0
_PATIENCE_S = 10.0
_NEW = to_wire(heartbeat(8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What became of one case; without `opened_s`, it was refused."""

    opened_s: float | None
    took_new: bool = False
    lost: int = 0
    claimed: int = 0
    as_true: int = 0
    set_aside: int = 0
    told: bool = False
    died: str = ""
    refusal: str = ""


async def _survive(directory: Path, specimen: Specimen) -> Survival:
    """Start the writer on the directory, give it a new heartbeat, and look what arrives."""
    began = time.monotonic()
    try:
        spool = Spool(directory)
    except FatalError as error:
        return Survival(opened_s=None, refusal=str(error))
    opened_s = time.monotonic() - began
    book, sink = LogBook(heartbeats=HeartbeatLog.NONE), FakeSink()
    sink.refuses = _is_no_heartbeat
    died = await _write_and_send(HeartbeatWriter(spool=spool, sink=sink, log=book.log), sink)
    arrived = set(sink.stored())
    known = specimen.acknowledged | specimen.under_way | specimen.sent | {_NEW}
    return Survival(
        opened_s=opened_s,
        took_new=_NEW in arrived,
        lost=max(0, len(specimen.acknowledged - arrived) - len(sink.refused)),
        claimed=sum(line["rows"] for line in book.lines("spool_lost")),
        as_true=len(arrived - known),
        set_aside=len(sink.refused),
        told="spool_moved_aside" in book.events(),
        died=died,
    )


async def _write_and_send(writer: HeartbeatWriter, sink: FakeSink) -> str:
    """Until a new heartbeat has arrived and all that waits is sent; what a loop died of, if any."""
    loops = [asyncio.create_task(loop) for loop in (writer.commit(), writer.send())]
    writer.put(heartbeat(8))
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and not any(loop.done() for loop in loops):
        if _NEW in sink.stored():
            break
        await asyncio.sleep(0.005)
    for loop in loops:
        loop.cancel()
    ends = await asyncio.gather(*loops, return_exceptions=True)
    try:
        await writer.finish(5.0)
    finally:
        await writer.aclose()
    faults = [repr(end) for end in ends if not isinstance(end, asyncio.CancelledError)]
    return "; ".join(faults)


def _is_no_heartbeat(text: str) -> bool:
    """What PostgreSQL would refuse of a damaged row, roughly."""
    try:
        row = json.loads(text)
    except ValueError:
        return True
    return not (isinstance(row, dict) and {"monitor_id", "status"} <= row.keys())


# F14.


async def _damaged(scale: Scale) -> Outcome:
    found: list[tuple[str, Survival]] = []
    names = list(DAMAGES)
    with specimens() as originals, tempfile.TemporaryDirectory(prefix="uptimeo-f14-") as name:
        for number in range(_CASES[scale]):
            dice, kind = random.Random(number), names[number % len(names)]
            specimen, directory = originals[DAMAGES[kind].of], Path(name) / "spool"
            shutil.copytree(specimen.directory, directory)
            DAMAGES[kind].do(directory, specimen, dice)
            found.append((kind, await _survive(directory, specimen)))
            shutil.rmtree(directory)
        surroundings = [await _mode_zero(Path(name)), *await _full_disk(Path(name))]
    return Outcome(
        runs=len(found),
        figures=[*_figures(found), *surroundings],
        notes=_notes(found),
    )


def _figures(found: Sequence[tuple[str, Survival]]) -> list[Figure]:
    cases = [survival for _, survival in found]
    harmless = [survival for kind, survival in found if DAMAGES[kind].harmless]
    real = [survival for kind, survival in found if _is_real(kind)]
    exact = [survival for kind, survival in found if _is_real(kind) and DAMAGES[kind].exact]
    inexact = [survival for kind, survival in found if not DAMAGES[kind].exact]
    opened = [survival.opened_s for survival in cases if survival.opened_s is not None]
    return [
        Figure("opened", len(opened), at_least=len(cases)),
        Figure("slowest", max(opened, default=float("nan")), "s", at_most=_OPEN_S),
        Figure("new heartbeat stored", sum(x.took_new for x in cases), at_least=len(cases)),
        Figure("torn tails and the like", len(harmless)),
        Figure("their rows lost", sum(x.lost for x in harmless), at_most=0),
        Figure("losses claimed of them", sum(x.claimed for x in harmless), at_most=0),
        Figure("their rows set aside", sum(x.set_aside for x in harmless), at_most=0),
        Figure("real damage", len(real)),
        Figure("moved aside and told", sum(x.told for x in real)),
        Figure("its rows lost", sum(x.lost for x in real)),
        Figure("of them in silence", sum(max(0, x.lost - x.claimed) for x in real), at_most=0),
        Figure("claimed too many", sum(_excess(x) for x in exact), at_most=0),
        Figure("the same where row numbers changed", sum(map(_excess, inexact))),
        Figure("altered rows set aside", sum(x.set_aside for x in real)),
        Figure("altered rows sent as true", sum(x.as_true for x in cases), at_most=0),
    ]


def _is_real(kind: str) -> bool:
    return not DAMAGES[kind].harmless


def _excess(survival: Survival) -> int:
    return max(0, survival.claimed - survival.lost)


def _notes(found: Sequence[tuple[str, Survival]]) -> list[str]:
    off = Counter(kind for kind, x in found if x.lost != x.claimed)
    notes = [f"counted wrongly: {kind} {n}" for kind, n in sorted(off.items())]
    bad = [
        (kind, x.refusal or x.died or "the new one was not stored")
        for kind, x in found
        if x.opened_s is None or x.died or not x.took_new
    ]
    return notes + [f"{kind}: {why}" for kind, why in bad[:5]]


async def _mode_zero(root: Path) -> Figure:
    """A file that its own user may not read: how often a spool starts on it all the same."""
    directory = root / "mode"
    with closing(Spool(directory)) as spool:
        spool.append([body(0)])
    if os.geteuid() == 0:
        for path in (directory, *directory.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    (directory / "spool.db").chmod(0)
    root.chmod(0o711)
    text = await asyncio.to_thread(as_nobody, lambda: _try_open(directory))
    return Figure(f"rights 000: {text}", int(text == "opened"))


def _try_open(directory: Path) -> str:
    try:
        with closing(Spool(directory)) as spool:
            spool.append([body(1)])
    except FatalError as error:
        return "refused, naming the variable" if "UPTIMEO_DATA_DIR" in str(error) else str(error)
    except sqlite3.OperationalError:
        return "opened, for now without room for a row"
    return "opened"


async def _full_disk(root: Path) -> list[Figure]:
    """Fill the disk under a spool, then start on it while it is full, then make room."""
    with small_disk(root / "disk") as disk:
        if disk is None:
            return [Figure("full disk skipped: no tmpfs can be mounted", 0)]
        return await asyncio.to_thread(_fill_and_empty, disk)


def _fill_and_empty(disk: Path) -> list[Figure]:
    acknowledged, number = [], 0
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    spool = Spool(disk / "spool")
    with closing(spool), suppress(sqlite3.OperationalError):
        while number < 100_000:
            spool.append([body(number)])
            acknowledged.append(body(number))
            number += 1
    with suppress(OSError), ballast.open("ab") as more:
        while True:
            more.write(bytes(512))
            more.flush()
    started = _try_open(disk / "spool")
    ballast.unlink()
    with closing(Spool(disk / "spool")) as spool:
        spool.append([_NEW])
        kept = {row.body for row in spool.oldest(1_000_000)}
    return [
        Figure("full disk: rows until then", len(acknowledged), at_least=1),
        Figure("full disk: acknowledged rows lost", len(set(acknowledged) - kept), at_most=0),
        Figure("full disk: went on with room", int(_NEW in kept), at_least=1),
        Figure(f"full disk: a start is {started}", int(started.startswith("opened"))),
    ]


FAULTS = (
    Fault(
        id="F14",
        title="damaged spools",
        demanded="opens every time, within 2 s, and goes on; torn tails lose nothing;"
        " of real damage every lost row is counted and no altered one is sent as true",
        run=_damaged,
    ),
)

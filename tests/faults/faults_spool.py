"""Does the spool always open, and does one bad row ever hold the others up?"""

import asyncio
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.faults.damage import (
    DAMAGES,
    NOBODY,
    Specimen,
    as_nobody,
    body,
    small_disk,
    specimens,
)
from tests.faults.installation import DATACENTER, Installation, installation
from tests.faults.poison import BODIES, RESULTS, Maker
from tests.faults.report import Fault, Figure, Outcome, Scale
from tests.support.builders import heartbeat
from tests.support.fakes import FakeSink, LogBook
from uptimeo.domain.errors import FatalError
from uptimeo.domain.heartbeat import Heartbeat, to_wire
from uptimeo.domain.monitor import DatacenterId
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.storage.database import make_pool
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.telemetry import HeartbeatLog

_CASES = {Scale.FULL: 500, Scale.SHORT: 100}
_OPEN_S = 2.0
_PATIENCE_S = 10.0
_NEW = to_wire(heartbeat(8))
_HELD_S = 5.0
_GOOD = 8
_MIXTURES = {Scale.FULL: 20, Scale.SHORT: 2}
_MONITORS = "SELECT DISTINCT monitor_id FROM api_heartbeats"
_PAYLOADS = "SELECT payload FROM api_heartbeats_set_aside"
_LEAD = "SELECT lease_ask(%s, %s::uuid, 'poisoner', interval '1 day', 0, 0, false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What became of one case; without `opened_s`, it was refused."""

    opened_s: float | None
    took_new: bool = False
    lost: int = 0
    altered: int = 0
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
    foreign = arrived - specimen.acknowledged - specimen.under_way - {_NEW}
    altered = len(foreign) + len(sink.refused)
    return Survival(
        opened_s=opened_s,
        took_new=_NEW in arrived,
        lost=max(0, len(specimen.acknowledged - arrived) - altered),
        altered=altered,
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
    real = [survival for kind, survival in found if not DAMAGES[kind].harmless]
    opened = [survival.opened_s for survival in cases if survival.opened_s is not None]
    return [
        Figure("opened", len(opened), at_least=len(cases)),
        Figure("slowest", max(opened, default=float("nan")), "s", at_most=_OPEN_S),
        Figure("new heartbeat stored", sum(x.took_new for x in cases), at_least=len(cases)),
        Figure("torn tails and the like", len(harmless)),
        Figure("their rows lost", sum(x.lost for x in harmless), at_most=0),
        Figure("their rows altered", sum(x.altered for x in harmless), at_most=0),
        Figure("real damage", len(real)),
        Figure("its rows lost", sum(x.lost for x in real)),
        Figure("its cases with a loss", sum(x.lost > 0 for x in real)),
        Figure("of them moved aside and told", sum(x.lost > 0 and x.told for x in real)),
        Figure("of them in silence", sum(x.lost > 0 and not x.told for x in real)),
        Figure("its rows altered", sum(x.altered for x in real)),
    ]


def _notes(found: Sequence[tuple[str, Survival]]) -> list[str]:
    silent = Counter(kind for kind, x in found if x.lost and not x.told)
    notes = [f"in silence: {kind} {n}" for kind, n in sorted(silent.items())]
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


# F15.


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """What poison did to the good heartbeats around it, and how much of it is nowhere."""

    what: str
    held_s: float
    missing: int
    nowhere: Sequence[str]
    died: str

    def is_harmless(self) -> bool:
        """Whether all is as it should be."""
        return not (self.missing or self.nowhere or self.died) and self.held_s <= _HELD_S


async def _give(place: Installation, make: Maker, kinds: Sequence[str], seed: int) -> Dose:
    """Poison of those kinds among good ones: some lie in the spool, some come from checks."""
    dice, numbers = random.Random(seed), count(seed * 10_000 + 1)
    good = [next(numbers) for _ in range(2 * _GOOD)]
    tags = {kind: next(numbers) for kind in kinds}
    bad = {kind: (number, _poisonous(make, kind, number)) for kind, number in tags.items()}
    waiting = [make.body(number) for number in good[:_GOOD]]
    waiting += [text for kind, (_, text) in bad.items() if kind in BODIES]
    arriving = [make.heartbeat(number) for number in good[_GOOD:]]
    arriving += [make.heartbeat(tags[kind], **RESULTS[kind]) for kind in kinds if kind in RESULTS]
    dice.shuffle(waiting)
    dice.shuffle(arriving)
    directory = place.directory / "poisoned" / str(seed)
    spool = Spool(directory)
    spool.append(waiting)
    async with make_pool(place.dsn, 2) as pool:
        sink = HeartbeatStore(pool, DatacenterId(DATACENTER))
        writer = HeartbeatWriter(spool=spool, sink=sink, log=LogBook().log)
        held_s, died = await _write(place, writer, arriving, good)
    return Dose(
        what=kinds[0] if len(kinds) == 1 else "all at once",
        held_s=held_s,
        missing=len(set(good) - await _stored(place)),
        nowhere=await _nowhere(place, directory, bad),
        died=died,
    )


def _poisonous(make: Maker, kind: str, number: int) -> str:
    """The body that comes of it."""
    if kind in BODIES:
        return BODIES[kind](make, number)
    return to_wire(make.heartbeat(number, **RESULTS[kind]))


async def _write(
    place: Installation, writer: HeartbeatWriter, arriving: Sequence[Heartbeat], good: Sequence[int]
) -> tuple[float, str]:
    """How long it took until all good ones were stored, and what a loop died of, if any."""
    loops = [asyncio.create_task(loop) for loop in (writer.commit(), writer.send())]
    began = time.monotonic()
    for each in arriving:
        writer.put(each)
    while (held_s := time.monotonic() - began) < _PATIENCE_S:
        if set(good) <= await _stored(place) or any(loop.done() for loop in loops):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)  # what follows the last good one has its turn
    for loop in loops:
        loop.cancel()
    last = asyncio.create_task(writer.finish(2.0))
    ends: list[object] = [*await asyncio.gather(*loops, last, return_exceptions=True)]
    await writer.aclose()
    faults = {repr(end) for end in ends if isinstance(end, Exception)}
    return held_s, "; ".join(sorted(faults))


async def _stored(place: Installation) -> set[int]:
    async with await place.connect() as connection:
        rows = await (await connection.execute(_MONITORS)).fetchall()
    return {monitor for (monitor,) in rows}


async def _nowhere(
    place: Installation, spool: Path, bad: Mapping[str, tuple[int, str]]
) -> list[str]:
    """The kinds of poison of which no trace is left: neither stored nor set aside."""
    async with await place.connect() as connection:
        rows = await (await connection.execute(_PAYLOADS)).fetchall()
    with closing(sqlite3.connect(spool / "spool.db")) as db:
        rows += db.execute("SELECT body FROM set_aside").fetchall()
    texts = {text for (text,) in rows}
    numbers = await _stored(place) | {_monitor(text) for text in texts}
    return [
        kind
        for kind, (number, text) in bad.items()
        if text.strip() and text not in texts and number not in numbers
    ]


def _monitor(text: str) -> Any:
    try:
        return json.loads(text)["monitor_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


async def _poisoned(scale: Scale) -> Outcome:
    async with installation(options=("fsync=off",)) as place:
        async with await place.connect() as connection:
            await connection.execute("SELECT heartbeat_partitions_ensure(1)")
            holder = str(uuid4())
            await connection.execute(_LEAD, (DATACENTER, holder))
        make, kinds, doses = Maker(1, holder), [*RESULTS, *BODIES], []
        for seed, kind in enumerate(kinds):
            doses.append(await _give(place, make, [kind], seed))
        for seed in range(100, 100 + _MIXTURES[scale]):
            harmless = [dose.what for dose in doses if dose.is_harmless() and dose.what in kinds]
            doses.append(await _give(place, make, harmless, seed))
    return Outcome(
        runs=len(doses),
        figures=(
            Figure("kinds of poison", len(kinds)),
            Figure("good rows", 2 * _GOOD * len(doses)),
            Figure("good rows lost", sum(dose.missing for dose in doses), at_most=0),
            Figure("longest held", max(dose.held_s for dose in doses), "s", at_most=_HELD_S),
            Figure("bad rows nowhere", sum(len(dose.nowhere) for dose in doses), at_most=0),
            Figure("loops that died", sum(bool(dose.died) for dose in doses), at_most=0),
        ),
        notes=[
            f"{dose.what}: held {dose.held_s:.1f} s, missing {dose.missing},"
            f" nowhere {len(dose.nowhere)}, died {dose.died[:150]!r}"
            for dose in doses
            if not dose.is_harmless()
        ],
    )


FAULTS = (
    Fault(
        id="F14",
        title="damaged spools",
        demanded="opens every time, within 2 s, and goes on; torn tails lose nothing",
        run=_damaged,
    ),
    Fault(
        id="F15",
        title="heartbeats that PostgreSQL refuses, among good ones",
        demanded="no good row lost or held > 5 s; each bad one stored or set aside",
        run=_poisoned,
    ),
)

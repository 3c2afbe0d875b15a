"""Does one bad row ever hold the others up?"""

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.faults.installation import DATACENTER, Installation, installation
from tests.faults.poison import BODIES, RESULTS, Maker
from tests.faults.report import Fault, Figure, Outcome, Scale
from tests.support.fakes import LogBook
from uptimeo.domain.heartbeat import Heartbeat, to_wire
from uptimeo.domain.monitor import DatacenterId
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.storage.database import make_pool
from uptimeo.storage.heartbeats import HeartbeatStore

_PATIENCE_S = 10.0
_HELD_S = 5.0
_GOOD = 8
_MIXTURES = {Scale.FULL: 20, Scale.SHORT: 2}
_MONITORS = "SELECT DISTINCT monitor_id FROM api_heartbeats"
_PAYLOADS = "SELECT payload FROM api_heartbeats_set_aside"
_LEAD = "SELECT lease_ask(%s, %s::uuid, 'poisoner', interval '1 day', 0, 0, false)"


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
            await connection.execute("SELECT partitions_ensure('heartbeats')")
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
        id="F15",
        title="heartbeats that PostgreSQL refuses, among good ones",
        demanded="no good row lost or held > 5 s; each bad one stored or set aside",
        run=_poisoned,
    ),
)

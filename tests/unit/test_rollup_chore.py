"""The chore works off what waits, a minute at a time, and says when it falls behind."""

import json
from io import StringIO
from typing import Any

from uptimeo.leader.rollups import RollupChore
from uptimeo.telemetry import json_log


class Waiting:
    """Buckets that wait, by level; each step takes a while."""

    def __init__(self, *, buckets: dict[int, int], step_s: float, changes: int = 0) -> None:
        self.buckets = buckets
        self.clock = 0.0
        self._step_s = step_s
        self._changes = changes

    async def step(self, level: int, limit: int) -> int:
        self.clock += self._step_s
        done = min(limit, self.buckets[level])
        self.buckets[level] -= done
        return done

    async def waiting(self, level: int) -> int:
        return self.buckets[level]

    async def reconcile_duty(self) -> int:
        return self._changes


async def run(waiting: Waiting, times: int = 1) -> list[dict[str, Any]]:
    stream = StringIO()
    log = json_log(stream, level="debug")
    chore = RollupChore(rollups=waiting, now=lambda: waiting.clock, log=log)
    for _ in range(times):
        await chore.run()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_every_level_is_worked_off_in_turn() -> None:
    waiting = Waiting(buckets={5: 100, 60: 9, 1440: 2}, step_s=0.1)

    events = await run(waiting)

    assert set(waiting.buckets.values()) == {0}
    assert [(event["event"], event["buckets"]) for event in events] == [("rolled_up", 111)]


async def test_nothing_to_do_is_not_worth_a_line() -> None:
    assert await run(Waiting(buckets={5: 0, 60: 0, 1440: 0}, step_s=0.1)) == []


async def test_a_backlog_is_told_and_its_end_too() -> None:
    waiting = Waiting(buckets={5: 1000, 60: 1, 1440: 0}, step_s=1.0)

    events = await run(waiting, times=4)

    assert waiting.buckets == {5: 0, 60: 0, 1440: 0}
    told = [event["event"] for event in events if event["event"] != "rolled_up"]
    assert told == ["rollups_behind", "rollups_behind", "rollups_caught_up"]
    assert next(e for e in events if e["event"] == "rollups_behind")["waiting"] == 641


async def test_duty_that_the_triggers_missed_is_told() -> None:
    (event,) = await run(Waiting(buckets={5: 0, 60: 0, 1440: 0}, step_s=0.1, changes=2))

    assert (event["event"], event["changes"]) == ("duty_reconciled", 2)

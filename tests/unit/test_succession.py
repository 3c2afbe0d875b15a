"""What does a new leader do first, and is it done even if its permission fails at that moment?"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from tests.support.builders import NOON, monitor
from tests.support.fakes import eventually
from uptimeo.domain.errors import TransientError
from uptimeo.domain.monitor import MonitorId
from uptimeo.leader.elector import Standing
from uptimeo.leader.succession import Succession

HELD = Standing(term=4, candidate=UUID(int=1), confirmed=True, silent_s=0.0)
LATEST = {monitor().id: NOON}


class Stage:
    """An election that is won, and what became of it."""

    def __init__(self, permissions: Iterator[bool], unread: int = 0) -> None:
        self.caught_up: list[Mapping[MonitorId, datetime]] = []
        self.looks = 0
        self._permissions = permissions
        self._unread = unread

    def standing(self) -> Standing:
        self.looks += 1
        return HELD

    async def changed(self, timeout_s: float) -> None:
        await asyncio.sleep(0)

    async def latest_slots(self) -> Mapping[MonitorId, datetime]:
        if self._unread:
            self._unread -= 1
            raise TransientError("the database is away")
        return LATEST

    def catch_up(self, latest: Mapping[MonitorId, datetime]) -> bool:
        self.caught_up.append(latest)
        return next(self._permissions)


@asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[None]:
    succession = Succession(
        election=stage,
        note=lambda held: None,
        forget=lambda: None,
        latest_slots=stage.latest_slots,
        catch_up=stage.catch_up,
        announce=lambda: None,
    )
    loop = asyncio.create_task(succession.run())
    yield
    loop.cancel()
    await asyncio.wait({loop})


async def test_a_new_leader_catches_up_once() -> None:
    stage = Stage(iter([True]), unread=2)

    async with playing(stage):
        await eventually(lambda: stage.looks > 6)

    assert stage.caught_up == [LATEST]


async def test_catching_up_without_permission_is_tried_again() -> None:
    stage = Stage(iter([False, False, True]))

    async with playing(stage):
        await eventually(lambda: stage.looks > 6)

    assert stage.caught_up == [LATEST] * 3

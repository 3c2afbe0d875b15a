"""What does the service manager hear, and when does it hear nothing?"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.ops import facts
from tests.support.service_manager import listening
from uptimeo.agent.start import Welcome
from uptimeo.agent.supervision import condition
from uptimeo.catalog.watcher import CatalogState
from uptimeo.service_manager import Condition, ServiceManager

FINE = Condition(alive=True, ready=True, status="leads VA")
HERE = Welcome(agent_id=1, datacenter_code="VA")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


def manager(address: str, watchdog_s: float | None = 0.04) -> ServiceManager:
    return ServiceManager(address, watchdog_s)


@asynccontextmanager
async def informed(address: str, look: Callable[[], Condition]) -> AsyncIterator[None]:
    task = asyncio.create_task(manager(address).keep_informed(look))
    try:
        yield
    finally:
        task.cancel()


def found(**environment: str) -> ServiceManager | None:
    return ServiceManager.of({"NOTIFY_SOCKET": "/run/notify", **environment}, pid=7)


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_socket_that_can_be_told_there_is_no_manager(address: str) -> None:
    assert ServiceManager.of({"NOTIFY_SOCKET": address}, pid=7) is None
    assert ServiceManager.of({}, pid=7) is None


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert found(**environment) == ServiceManager("/run/notify", watchdog_s)


async def test_ready_is_told_once_and_life_again_and_again(address: str) -> None:
    async with listening(address) as told, informed(address, lambda: FINE):
        await told.again("WATCHDOG=1", times=5)

    assert told.heard("READY=1") == 1
    assert told.heard("STATUS=leads VA") == 1


async def test_a_name_in_the_abstract_namespace_is_told_too() -> None:
    name = f"@uptimeo-test-{os.getpid()}"

    async with listening(name) as told:
        assert manager(name).tell("READY=1")
        await told.once("READY=1")


async def test_who_is_not_alive_gives_no_sign_of_life_and_says_what_is_wrong(address: str) -> None:
    state = FINE

    async with listening(address) as told, informed(address, lambda: state):
        await told.again("WATCHDOG=1")
        state = replace(FINE, alive=False, status="the loop sender has ended")
        await told.once("STATUS=the loop sender has ended")
        before = told.heard("WATCHDOG=1")
        await asyncio.sleep(0.2)
        assert told.heard("WATCHDOG=1") == before
        state = FINE
        await told.again("WATCHDOG=1")


async def test_a_state_that_nobody_took_is_told_again(address: str) -> None:
    async with informed(address, lambda: FINE):
        await asyncio.sleep(0.1)
        async with listening(address) as told:
            await told.once("READY=1")
            await told.once("STATUS=leads VA")


async def test_a_manager_that_does_not_read_holds_up_nobody(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        taken = [manager(address).tell("WATCHDOG=1") for _ in range(2000)]

    assert taken[0]
    assert not taken[-1]


async def test_a_status_is_one_short_line(address: str) -> None:
    async with listening(address) as told:
        manager(address).starting("waiting\nREADY=1" + " and waiting" * 200)
        await told.status("waiting READY=1 and waiting")

    assert len(told.states) == 1
    assert len(told.states[0]) < 520


def test_a_leader_and_a_standby_are_ready_and_say_who_they_are() -> None:
    leader = condition(facts(), HERE)
    standby = condition(facts(leads=False, may_check=False), HERE)

    assert leader == Condition(alive=True, ready=True, status="leads VA, term 3; 1 monitors")
    assert standby == Condition(alive=True, ready=True, status="stands by in VA; 1 monitors")


def test_a_standby_that_could_not_take_over_is_not_ready_and_says_why() -> None:
    found = condition(facts(leads=False, may_check=False, database_ago_s=None), HERE)

    assert found.alive
    assert not found.ready
    assert "the database does not answer" in found.status


def test_a_leader_that_goes_on_without_the_database_is_ready_and_says_so() -> None:
    found = condition(facts(database_ago_s=60.0), HERE)

    assert found.ready
    assert found.status.endswith("goes on without the database")


def test_an_agent_without_configuration_is_not_ready_yet() -> None:
    nothing = CatalogState(monitors=0, invalid=0, changes=0, changed_at=None, read_at=None)

    assert not condition(facts(catalog=nothing), HERE).ready


def test_an_agent_with_a_loop_that_has_ended_is_not_alive() -> None:
    assert not condition(facts(ended=("sender",)), HERE).alive

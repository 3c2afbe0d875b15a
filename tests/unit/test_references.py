"""Is it our own network? On real sockets."""

import asyncio
import time

from tests.support.servers import mute, refusing, serve
from uptimeo.probes.running.references import References

NOW = float("inf")


async def test_without_references_nobody_is_isolated() -> None:
    assert not await References(()).isolated_since(NOW)


async def test_one_reference_that_answers_is_enough() -> None:
    async with serve(mute) as alive:
        with refusing() as dead:
            references = References([("127.0.0.1", dead.port), ("127.0.0.1", alive.port)])

            assert not await references.isolated_since(NOW)


async def test_when_none_answers_the_datacenter_is_isolated() -> None:
    with refusing() as dead:
        assert await References([("127.0.0.1", dead.port), ("nothing.invalid", 1)]).isolated_since(
            NOW
        )


async def test_many_who_ask_at_once_share_two_questions() -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()

    async with serve(count) as alive:
        references = References([("127.0.0.1", alive.port)])

        await asyncio.gather(*(references.isolated_since(NOW) for _ in range(50)))
        await asyncio.sleep(0.05)

    assert connections == 2


async def test_an_answer_from_before_the_network_went_does_not_count() -> None:
    async with serve(mute) as alive:
        references = References([("127.0.0.1", alive.port)])
        before = await references.isolated_since(NOW)

    assert (before, await references.isolated_since(NOW)) == (False, True)


async def test_a_network_that_went_and_came_back_during_the_check_was_gone() -> None:
    with refusing() as dead:
        references = References([("127.0.0.1", dead.port)])
        began = time.monotonic()
        await references.isolated_since(NOW)
        references._references = ()

        assert await references.isolated_since(began)
        assert not await references.isolated_since(time.monotonic())

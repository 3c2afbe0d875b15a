"""Tasks that do not listen at once."""

import asyncio

from uptimeo.tasks import cancel_all


async def test_a_task_that_swallows_its_first_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    assert await cancel_all([task], patience_s=5)
    assert task.cancelled()


async def test_patience_has_an_end() -> None:
    release = asyncio.Event()

    async def deaf() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)

    assert not await cancel_all([task], patience_s=0.2)
    release.set()
    await task


async def test_what_has_ended_needs_no_patience() -> None:
    async def quick() -> None:
        return

    task = asyncio.create_task(quick())
    await task

    assert await cancel_all([task], patience_s=0)

"""What is said of how late our own loop is?"""

import asyncio
import time

from uptimeo.probes.running.lag import LoopLag


async def test_nothing_is_known_before_it_was_sampled() -> None:
    assert LoopLag().p99_ms() is None


async def test_a_stall_is_within_the_last_percent_and_a_loop_that_keeps_stalling_is_not() -> None:
    lag = LoopLag()
    sampling = asyncio.create_task(lag.run())
    await asyncio.sleep(0.05)
    for _ in range(5):
        time.sleep(0.03)  # noqa: ASYNC251 - that is the stall
        await asyncio.sleep(0.011)
    sampling.cancel()

    late_ms = lag.p99_ms()
    assert late_ms is not None
    assert late_ms >= 15

"""A probe type of another package, which does what its URL says."""

import asyncio
from typing import ClassVar

from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions, ProbeResult, Timeline


class SampleOptions(ProbeOptions):
    """What the sample is asked to do, and how long its step takes."""

    step_ms: int = 5


class SampleProbe(Probe[SampleOptions]):
    """sample://ok is up, sample://crash raises, sample://hang never ends."""

    options: ClassVar[type[ProbeOptions]] = SampleOptions

    async def probe(self, options: SampleOptions, context: ProbeContext) -> ProbeResult:
        timeline = Timeline()
        if options.url == "sample://crash":
            raise RuntimeError("as was asked for")
        if options.url == "sample://hang":
            await asyncio.Event().wait()
        with timeline.phase("step"):
            await asyncio.sleep(options.step_ms / 1000)
        return timeline.result(facts={"left_ms": round(context.remaining_s() * 1000)})

"""How does the probe of `http` and `https` run a check?"""

import asyncio
from typing import ClassVar

from uptimeo.probes.base import Family, Probe, ProbeContext, ProbeOptions, ProbeResult
from uptimeo.probes.http.families import combined
from uptimeo.probes.http.journey import Journey, Shared
from uptimeo.probes.http.options import HttpOptions

_BOTH = (Family.V4, Family.V6)


class HttpProbe(Probe[HttpOptions]):
    """One request, then one more for each redirect: every hop a connection of its own."""

    options: ClassVar[type[ProbeOptions]] = HttpOptions

    def __init__(self) -> None:
        self._shared = Shared()

    async def probe(self, options: HttpOptions, context: ProbeContext) -> ProbeResult:
        """Follow the redirects within one budget; the phases are those of the last hop."""
        if options.family != "both":
            return await self._by(Family(options.family), options, context)
        found = await asyncio.gather(*(self._by(each, options, context) for each in _BOTH))
        return combined(dict(zip(_BOTH, found, strict=True)))

    async def aclose(self) -> None:
        """Abandon the transfers in flight."""
        await self._shared.curl.aclose()

    async def _by(self, family: Family, options: HttpOptions, context: ProbeContext) -> ProbeResult:
        return await Journey(self._shared, options, context, family).run()

"""How does the probe of `http` and `https` run a check?"""

from functools import partial
from typing import ClassVar

from uptimeo.probes.answers.families import by_families
from uptimeo.probes.base import Family, Probe, ProbeContext, ProbeOptions, ProbeResult
from uptimeo.probes.http.journey import Journey, Shared
from uptimeo.probes.http.options import HttpOptions


class HttpProbe(Probe[HttpOptions]):
    """One request, then one more for each redirect: every hop a connection of its own."""

    options: ClassVar[type[ProbeOptions]] = HttpOptions

    def __init__(self) -> None:
        self._shared = Shared()

    async def probe(self, options: HttpOptions, context: ProbeContext) -> ProbeResult:
        """Follow the redirects within one budget; the phases are those of the last hop."""
        return await by_families(options.family, partial(self._by, options, context))

    async def aclose(self) -> None:
        """Abandon the transfers in flight."""
        await self._shared.curl.aclose()

    async def _by(self, options: HttpOptions, context: ProbeContext, family: Family) -> ProbeResult:
        return await Journey(self._shared, options, context, family).run()

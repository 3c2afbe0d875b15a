"""Which probe types are installed?"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from uptimeo.domain.errors import FatalError
from uptimeo.probes.base import Probe

GROUP = "uptimeo.probes"


class ProbeRegistry:
    """The installed probes by lower-case type name; one instance for each class."""

    def __init__(self, probes: Mapping[str, Probe[Any]]) -> None:
        self._probes = dict(probes)

    @classmethod
    def installed(cls) -> "ProbeRegistry":
        """Every probe that an installed package declares.

        Raises FatalError for an entry point that cannot be loaded or a name declared twice.
        """
        made: dict[type[Probe[Any]], Probe[Any]] = {}
        probes: dict[str, Probe[Any]] = {}
        for point in entry_points(group=GROUP):
            name = point.name.lower()
            if name in probes:
                raise FatalError(f"two installed packages declare the probe type {name!r}")
            kind = _load(point)
            if kind not in made:
                made[kind] = kind()
            probes[name] = made[kind]
        return cls(probes)

    def names(self) -> list[str]:
        """The known type names, sorted."""
        return sorted(self._probes)

    def get(self, name: str) -> Probe[Any] | None:
        """The probe for a type as it stands in a row (any case)."""
        return self._probes.get(name.lower())

    async def aclose(self) -> None:
        """Close every probe once."""
        for probe in set(self._probes.values()):
            await probe.aclose()


def _load(point: EntryPoint) -> type[Probe[Any]]:
    try:
        kind = point.load()
    except Exception as error:
        raise FatalError(f"the probe type {point.name!r} cannot be loaded: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Probe)):
        raise FatalError(f"the probe type {point.name!r} names {point.value}, which is no Probe")
    return kind

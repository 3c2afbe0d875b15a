"""Are the installed probes found, each once?"""

from importlib.metadata import EntryPoint, entry_points

import pytest

from uptimeo.domain.errors import FatalError
from uptimeo.probes.http import HttpProbe
from uptimeo.probes.registry import GROUP, ProbeRegistry, _load


class ClosingProbe(HttpProbe):
    """Counts how often it was closed."""

    closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


async def test_the_built_in_probes_come_through_entry_points() -> None:
    registry = ProbeRegistry.installed()

    assert {point.name for point in entry_points(group=GROUP)} >= {"http", "https"}
    assert isinstance(registry.get("http"), HttpProbe)
    await registry.aclose()


async def test_two_names_of_one_class_share_an_instance() -> None:
    registry = ProbeRegistry.installed()

    assert registry.get("http") is registry.get("https")
    await registry.aclose()


@pytest.mark.parametrize("name", ["http", "HTTP", "Http"])
async def test_a_type_is_found_in_any_case(name: str) -> None:
    registry = ProbeRegistry.installed()

    assert registry.get(name) is not None
    await registry.aclose()


def test_a_type_that_is_not_installed_is_none() -> None:
    assert ProbeRegistry({}).get("http") is None


async def test_the_names_are_sorted() -> None:
    probe = ClosingProbe()
    registry = ProbeRegistry({"tcp": probe, "http": probe})

    assert registry.names() == ["http", "tcp"]
    await registry.aclose()


async def test_a_probe_of_two_names_is_closed_once() -> None:
    probe = ClosingProbe()

    await ProbeRegistry({"http": probe, "https": probe}).aclose()

    assert probe.closed == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("uptimeo.no_such_module:Probe", "cannot be loaded: No module named"),
        ("uptimeo.probes.http:NoSuchProbe", "cannot be loaded: .*NoSuchProbe"),
        ("uptimeo.probes.http:HttpOptions", "is no Probe"),
        ("uptimeo.probes.http.urls:shown", "is no Probe"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_fatal_and_named(value: str, reason: str) -> None:
    point = EntryPoint(name="sample", value=value, group=GROUP)

    with pytest.raises(FatalError, match=f"'sample'.*{reason}"):
        _load(point)

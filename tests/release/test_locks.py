"""Do the lock files hold what `pyproject.toml` asks for, whole, and with hashes?"""

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.locks import DEVELOPMENT, RUNTIME, Locked, read
from tests.release.project import overrides, pyproject, requirements

LOCKS = pytest.mark.parametrize("path", [RUNTIME, DEVELOPMENT], ids=lambda path: path.name)


def unmet(wanted: Iterable[Requirement], locked: dict[str, Locked]) -> list[str]:
    """What is missing, or pinned to a version out of range."""
    found = []
    for each in wanted:
        pinned = locked.get(canonicalize_name(each.name))
        version = pinned.version if pinned else None
        if version is None or not each.specifier.contains(version, prereleases=True):
            found.append(f"{each}: {version}")
    return found


def needed(wanted: Iterable[Requirement]) -> Iterator[Requirement]:
    """What these need in turn, as the installed packages say, in this environment."""
    waiting = list(wanted)
    seen, instead = set(), overrides()
    while waiting:
        each = waiting.pop()
        for extra in ("", *each.extras):
            if (each.name, extra) in seen:
                continue
            seen.add((each.name, extra))
            for required in map(Requirement, _requires(each.name)):
                if required.marker is None or required.marker.evaluate({"extra": extra}):
                    locked = instead.get(required.name, required)
                    waiting.append(locked)
                    yield locked


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        pytest.fail(f"{name} is locked and not installed: run `make .venv/.dev`")


def wanted_of(path: Path) -> list[Requirement]:
    return requirements() + (requirements("dev") if path == DEVELOPMENT else [])


@LOCKS
def test_every_package_is_pinned_to_one_version_with_hashes(path: Path) -> None:
    loose = [
        each.name
        for each in read(path).values()
        if each.version is None
        or not each.hashes
        or any(not given.startswith("sha256:") or len(given) != 71 for given in each.hashes)
    ]

    assert loose == []


@LOCKS
def test_every_dependency_is_locked_within_its_range(path: Path) -> None:
    assert unmet(wanted_of(path), read(path)) == []


@LOCKS
def test_what_a_dependency_needs_in_turn_is_locked_too(path: Path) -> None:
    further = list(needed(wanted_of(path)))

    assert len(further) > len(read(path)) / 2
    assert unmet(further, read(path)) == []


def test_the_tests_run_with_what_is_released() -> None:
    released, tested = read(RUNTIME), read(DEVELOPMENT)

    assert {name: tested.get(name) for name in released} == released


def test_a_release_is_built_by_the_flit_that_is_locked_and_tested() -> None:
    pinned = read(DEVELOPMENT)["flit-core"].version

    assert pyproject()["build-system"]["requires"] == [f"flit_core=={pinned}"]

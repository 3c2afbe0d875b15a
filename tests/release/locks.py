"""What do the lock files pin, and with which hashes?"""

from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.project import ROOT

RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"
_HASH = "--hash="


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A package as a lock file has it; `version` is None if it is not pinned to one."""

    name: str
    version: str | None
    marker: Marker | None
    hashes: frozenset[str]


def read(path: Path) -> dict[str, Locked]:
    """All of a lock file's packages, by normalised name."""
    lines = path.read_text("utf-8").replace("\\\n", " ").splitlines()
    found = [_locked(line) for line in lines if line.strip() and not line.startswith("#")]
    return {each.name: each for each in found}


def _locked(line: str) -> Locked:
    stated, *hashes = line.split(_HASH)
    requirement = Requirement(stated.strip())
    (pin, *more) = requirement.specifier or [None]
    exact = pin is not None and not more and pin.operator == "==" and "*" not in pin.version
    return Locked(
        name=canonicalize_name(requirement.name),
        version=pin.version if pin is not None and exact else None,
        marker=requirement.marker,
        hashes=frozenset(each.strip() for each in hashes),
    )

"""What does `pyproject.toml` say, and what is the version?"""

import tomllib
from pathlib import Path
from typing import Any, cast

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from uptimeo import __version__

ROOT = Path(__file__).parents[2]
VERSION = __version__
_PYTHON = "Programming Language :: Python :: 3."


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def requirements(extra: str | None = None) -> list[Requirement]:
    """What it depends on; with an extra, what that adds."""
    project = pyproject()["project"]
    found = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(each) for each in cast("list[str]", found)]


def overrides() -> dict[str, Requirement]:
    """What stands in the lock files instead of what other packages ask for, by name."""
    found = map(Requirement, pyproject()["tool"]["uv"]["override-dependencies"])
    return {each.name: each for each in found}


def pythons() -> list[str]:
    """The versions of Python that it promises to run on: "3.11", "3.12" …"""
    classifiers = cast("list[str]", pyproject()["project"]["classifiers"])
    return ["3." + each.removeprefix(_PYTHON) for each in classifiers if each.startswith(_PYTHON)]


def python_range() -> SpecifierSet:
    return SpecifierSet(pyproject()["project"]["requires-python"])

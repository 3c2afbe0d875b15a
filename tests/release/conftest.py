"""The packages of this source, built once, and an environment into which they are installed."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.release.build import Packages, build
from tests.release.project import ROOT

EPOCH = "1700000000"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return build(ROOT, tmp_path_factory.mktemp("dist"), EPOCH)


@pytest.fixture(scope="session")
def installed(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment with the wheel, without the source and what tests need not.

    Its dependencies are those of the environment that runs the tests, linked, which takes a
    second; `make release-test` installs them from the lock file.
    """
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    subprocess.run([*install, "--no-index", "--no-deps", packages.wheel], check=True)
    (site,) = place.glob("lib/python3.*/site-packages")
    for dependency in Path(sysconfig.get_path("platlib")).iterdir():
        if not (site / dependency.name).exists() and not dependency.name.startswith("uptimeo"):
            (site / dependency.name).symlink_to(dependency)
    return place / "bin"

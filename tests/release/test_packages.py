"""Do wheel and sdist hold what they should, nothing else, and the same bytes each time?"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.release.build import Packages, build, digest
from tests.release.conftest import EPOCH
from tests.release.project import ROOT, VERSION, pyproject, pythons, requirements

pytestmark = pytest.mark.xdist_group("release")

NAME = f"uptimeo-{VERSION}"
OF_THE_PROJECT = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "requirements.lock"}
KINDS = {".py", ".sql", ".typed"}


def sources() -> set[str]:
    found = (path for path in (ROOT / "src").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT / "src")) for path in found if path.suffix != ".pyc"}


def members(sdist: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(sdist) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield member.name.removeprefix(f"{NAME}/"), file.read()


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        return HeaderParser().parsestr(archive.read(f"{NAME}.dist-info/METADATA").decode())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The source as another person has it: with other times, rights and left-overs."""
    place = tmp_path / "a checkout"
    for name in OF_THE_PROJECT:
        place.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, place / name)
    shutil.copytree(ROOT / "src", place / "src")
    for path in place.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (place / "src" / "uptimeo" / "__pycache__").mkdir(exist_ok=True)
    (place / "src" / "uptimeo" / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"left")
    (place / "tests").mkdir()
    (place / "tests" / "test_left.py").write_text("")
    (place / ".env").write_text("DB_CONN_STRING=postgresql://u:hunter2@db.example/uptimeo\n")
    return place


def test_the_wheel_has_every_file_of_the_source_and_no_other(packages: Packages) -> None:
    with ZipFile(packages.wheel) as archive:
        names = set(archive.namelist())

    about = {name.partition("/")[2] for name in names if name.startswith(f"{NAME}.dist-info/")}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert {name for name in names if not name.startswith(f"{NAME}.dist-info/")} == sources()
    assert {Path(name).suffix for name in sources()} == KINDS
    assert "uptimeo/py.typed" in names


def test_the_sdist_has_the_source_what_builds_it_and_no_tests(packages: Packages) -> None:
    names = {name for name, _ in members(packages.sdist)}

    assert names == {f"src/{name}" for name in sources()} | OF_THE_PROJECT | {"PKG-INFO"}


def test_nothing_in_a_package_is_a_private_key_or_names_a_home(packages: Packages) -> None:
    words = (b"PRIVATE KEY-----\n", b"/home/", b"/root/")

    assert [
        (name, word) for name, data in members(packages.sdist) for word in words if word in data
    ] == []


def test_the_metadata_say_what_the_project_says(packages: Packages) -> None:
    told = metadata(packages.wheel)
    project = pyproject()["project"]
    needs = [each for each in told.get_all("Requires-Dist", []) if "extra ==" not in each]

    assert (told["Name"], told["Version"]) == ("uptimeo", VERSION)
    assert told["Requires-Python"] == project["requires-python"]
    assert told.get_all("Classifier") == project["classifiers"]
    assert len(pythons()) == 4
    assert len(needs) == len(requirements())


def test_a_build_elsewhere_gives_the_same_bytes(
    packages: Packages, elsewhere: Path, tmp_path: Path
) -> None:
    again = build(elsewhere, tmp_path / "dist", EPOCH)

    assert digest(again.wheel) == digest(packages.wheel)
    assert digest(again.sdist) == digest(packages.sdist)


def test_the_sdist_builds_the_wheel_that_is_released(packages: Packages, tmp_path: Path) -> None:
    with tarfile.open(packages.sdist) as archive:
        archive.extractall(tmp_path, filter="data")

    again = build(tmp_path / NAME, tmp_path / "dist", EPOCH)

    assert digest(again.wheel) == digest(packages.wheel)

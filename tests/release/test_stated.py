"""Is there one version, and is a tag released only if it is that?"""

import pytest
from click.testing import CliRunner
from packaging.version import Version

from tests.release.project import ROOT, VERSION, pyproject
from tests.release.stated import files, missing, notes, versions
from uptimeo.cli.commands import uptimeo

CHANGELOG = """# Changelog

The form.

## {heading}

### Added

- This.

## 0.0.1 - 2001-01-01

- That.
"""


def test_the_command_tells_the_version() -> None:
    assert CliRunner().invoke(uptimeo, ["--version"]).output == f"uptimeo {VERSION}\n"


def test_the_version_is_written_once_in_its_normal_form() -> None:
    project = pyproject()["project"]

    assert str(Version(VERSION)) == VERSION
    assert "version" in project["dynamic"]
    assert "version" not in project


def test_no_text_states_another_version() -> None:
    found = {path: versions(path.read_text("utf-8", "replace")) for path in files()}

    assert ROOT / "README.md" in found
    assert {
        str(path.relative_to(ROOT)): stated
        for path, stated in found.items()
        if set(stated) - {VERSION}
    } == {}


@pytest.mark.parametrize(
    "text",
    [
        "UptimeO/9.8.7",
        "uptimeo 9.8.7",
        "image: registry/uptimeo:9.8.7",
        "pip install uptimeo==9.8.7",
        "uptimeo-9.8.7-py3-none-any.whl",
        'ARG UPTIMEO_VERSION="9.8.7"',
        'LABEL org.opencontainers.image.version="9.8.7"',
        "uptimeo v9.8.7",
        "ARG VERSION=9.8.7",
        "    newTag: '9.8.7'",
        "app.kubernetes.io/version: 9.8.7",
    ],
)
def test_a_version_is_found_however_it_is_stated(text: str) -> None:
    assert versions(text) == ["9.8.7"]


def test_the_tag_of_this_version_with_its_part_of_the_changelog_is_released() -> None:
    text = CHANGELOG.format(heading=f"{VERSION} - 2026-01-02")

    assert missing(f"v{VERSION}", text) == []
    assert notes(text) == "### Added\n\n- This.\n"


@pytest.mark.parametrize(
    ("tag", "heading", "says"),
    [
        ("v9.8.7", f"{VERSION} - 2026-01-02", "the tag is v9.8.7, and src/uptimeo/__init__.py sa"),
        (VERSION, f"{VERSION} - 2026-01-02", f"the tag is {VERSION}, and"),
        (f"v{VERSION}", "Unreleased", 'the first heading of CHANGELOG.md is "Unreleased": make'),
        (f"v{VERSION}", f"{VERSION}", f'make it "{VERSION} - YYYY-MM-DD"'),
    ],
)
def test_what_a_release_lacks_is_said(tag: str, heading: str, says: str) -> None:
    (lack,) = missing(tag, CHANGELOG.format(heading=heading))

    assert says in lack

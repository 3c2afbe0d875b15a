"""Where do files of the project state a version of it, and may a tag be released?

As a command: `python -m tests.release.stated v1.2.3` exits with 1 and says what is missing before
that tag may be released.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.release.project import ROOT, VERSION

_NUMBER = r"v?(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?(?:\.(?:post|dev)\d+)?)"
# `uptimeo 1.2.3`, `UptimeO/1.2.3`, `uptimeo:1.2.3`, `uptimeo==1.2.3`, `UPTIMEO_VERSION=1.2.3`,
# `uptimeo-1.2.3.tar.gz`, and what an image is built with, labelled with and deployed by.
_NAMES = (
    r"\buptimeo(?:_version)?(?:\s+version)?",
    r"\bARG\s+VERSION",
    r"\bimage\.version",
    r"\bnewTag",
    r"\bkubernetes\.io/version",
)
_STATED = re.compile(
    rf"(?:{'|'.join(_NAMES)})[\"']?(?:\s|[:=/-]){{1,3}}[\"']?{_NUMBER}", re.IGNORECASE
)
_KEPT = {".git", ".venv", "build", "dist", "__pycache__"}
_KINDS = {".md", ".toml", ".yml", ".yaml", ".json", ".py", ".sql", ".txt", ".sh", ".service", ""}
_MINE = {"tests/release/stated.py", "tests/release/test_stated.py"}


def versions(text: str) -> list[str]:
    """The versions of UptimeO that a text states."""
    return _STATED.findall(text)


def files() -> Iterator[Path]:
    """The texts of the project; what tools keep beside it is not among them."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not _is_of_a_tool(name)]
        for path in (Path(folder, name) for name in names):
            inside = str(path.relative_to(ROOT))
            if path.suffix in _KINDS and path.name not in _KEPT and inside not in _MINE:
                yield path


def _is_of_a_tool(name: str) -> bool:
    return name in _KEPT or name.endswith("_cache")


def missing(tag: str, changelog: str) -> list[str]:
    """What has to be done before that tag is released; nothing if it may be."""
    found = []
    if tag != f"v{VERSION}":
        found.append(f"the tag is {tag}, and src/uptimeo/__init__.py says {VERSION}: make them one")
    headings = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    if not headings or not re.fullmatch(rf"{re.escape(VERSION)} - \d{{4}}-\d\d-\d\d", headings[0]):
        newest = headings[0] if headings else "nothing"
        found.append(
            f'the first heading of CHANGELOG.md is "{newest}": '
            f'make it "{VERSION} - YYYY-MM-DD", the day of the release'
        )
    return found


def notes(changelog: str) -> str:
    """What the changelog says of its newest release."""
    return re.split(r"^## .*$", changelog, flags=re.MULTILINE)[1].strip() + "\n"


def main() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    if wrong := missing(sys.argv[1], changelog):
        sys.exit("\n".join(wrong))
    print(notes(changelog), end="")


if __name__ == "__main__":
    main()

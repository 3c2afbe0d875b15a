"""How are wheel and sdist made, so that whoever makes them of the same commit gets the same bytes?

As a command: makes both of the last commit in `dist/`, and prints their hashes.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from tests.release.project import ROOT, VERSION

DIST = ROOT / "dist"
_BUILD = """
import sys
from flit_core import buildapi
print(buildapi.build_wheel(sys.argv[1]), buildapi.build_sdist(sys.argv[1]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What a release has for an index."""

    wheel: Path
    sdist: Path


def build(source: Path, into: Path, epoch: str) -> Packages:
    """Both, of that directory; every time in them is `epoch`. Needs no network."""
    into.mkdir(parents=True, exist_ok=True)
    said = subprocess.run(
        [sys.executable, "-c", _BUILD, str(into)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    wheel, sdist = said.split()
    return Packages(wheel=into / wheel, sdist=into / sdist)


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def epoch_of_commit() -> str:
    """SOURCE_DATE_EPOCH, or when the last commit was made, in seconds."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct").decode().strip()


def epoch_of(sdist: Path) -> str:
    """The time for which it was built."""
    with tarfile.open(sdist) as archive:
        first = archive.next()
    assert first is not None
    return str(int(first.mtime))


def content(sdist: Path, name: str) -> bytes:
    """A file in an sdist."""
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/{name}")
        assert file is not None
        return file.read()


def unpack_commit(into: Path) -> None:
    """The files of the last commit, and nothing else that may lie about."""
    with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", "HEAD"))) as archive:
        archive.extractall(into, filter="data")


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60
    ).stdout


def main() -> None:
    for old in (*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")):
        old.unlink()
    with tempfile.TemporaryDirectory() as directory:
        unpack_commit(Path(directory))
        made = build(Path(directory), DIST, epoch_of_commit())
    for path in (made.wheel, made.sdist):
        if f"-{VERSION}" not in path.name:
            sys.exit(f"{path.name} is not of version {VERSION}: commit src/uptimeo/__init__.py")
        print(f"{digest(path)}  {path.relative_to(ROOT)}")
    if _git("status", "--porcelain"):
        print("What is not committed is not in them.", file=sys.stderr)


if __name__ == "__main__":
    main()

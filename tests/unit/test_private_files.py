"""Which key files does an agent take, and which does it refuse because others may read them?"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from uptimeo.catalog.sealing import add_key, is_private
from uptimeo.clock import EPOCH

ROOT, AGENT, SOMEBODY = 0, 10001, 1000
READ = """
import os, sys
from pathlib import Path
from uptimeo.catalog.sealing import KeyRing
from uptimeo.domain.errors import FatalError
os.setgid(10001)
os.setuid(10001)
try:
    print(len(KeyRing.read(Path(sys.argv[1])).keys))
except FatalError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("mode", "owner", "group", "reader", "private"),
    [
        (0o600, AGENT, AGENT, AGENT, True),
        (0o400, AGENT, AGENT, AGENT, True),
        (0o640, AGENT, AGENT, AGENT, False),
        (0o604, AGENT, AGENT, AGENT, False),
        (0o440, ROOT, ROOT, AGENT, True),  # as of LoadCredential, by an ACL
        (0o440, ROOT, AGENT, AGENT, True),  # as of a secret with an fsGroup
        (0o640, ROOT, AGENT, AGENT, True),
        (0o640, ROOT, SOMEBODY, AGENT, False),
        (0o460, ROOT, AGENT, AGENT, False),
        (0o450, ROOT, AGENT, AGENT, False),
        (0o444, ROOT, AGENT, AGENT, False),
        (0o440, ROOT, ROOT, ROOT, False),
        (0o600, ROOT, ROOT, ROOT, True),
        (0o600, SOMEBODY, SOMEBODY, ROOT, False),
        (0o440, SOMEBODY, AGENT, AGENT, False),
    ],
)
def test_a_group_may_read_only_what_root_hands_over(
    mode: int, owner: int, group: int, reader: int, *, private: bool
) -> None:
    status = os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))

    assert is_private(status, reader=reader, group=reader) is private


@pytest.fixture
def keys() -> Iterator[Path]:
    """A key file in a directory that every user may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a file of root's and read it as somebody else")
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        path = Path(directory) / "keys"
        add_key(path, EPOCH)
        yield path


def read_as_agent(path: Path) -> str:
    """How many keys another user than root finds there, or why none."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_file_of_roots_that_the_agents_group_may_read_is_taken(keys: Path) -> None:
    os.chown(keys, ROOT, AGENT)
    keys.chmod(0o440)

    assert read_as_agent(keys) == "1"


def test_a_file_of_roots_that_everybody_may_read_is_refused(keys: Path) -> None:
    keys.chmod(0o444)

    assert "may be used by others (mode 0444, user 0" in read_as_agent(keys)

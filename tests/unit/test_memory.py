"""What an agent keeps on disk for a start without a database."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from uptimeo.catalog.snapshot import CatalogSnapshot, Configuration
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook
from uptimeo.domain.secret import SealedSecret
from uptimeo.leader.memory import Leadership, LeadershipMemory, PeerMemory
from uptimeo.storage.monitors import MonitorRow

VA = DatacenterId(1)
TERM = Leadership(
    datacenter_id=VA,
    datacenter_code="VA",
    agent_id=3,
    term=7,
    candidate=uuid4(),
    confirmed_at=datetime(2026, 1, 2, 12, tzinfo=UTC),
)
ROW = MonitorRow(
    id=1,
    name="m",
    type="HTTP",
    method="GET",
    url="http://h/",
    headers={"Authorization": "secret"},
    body=[1, None],
    options={},
    enabled=True,
    timeout_ms=None,
    schedule="s",
    interval_s=60,
    warning_ms=300,
    critical_ms=None,
    keep_body=False,
)
SEALED = SealedSecret(
    name="api", datacenter_id=VA, key_id="k1", nonce=bytes(12), ciphertext=b"\x00\xff"
)


def test_a_noted_term_is_recalled_until_it_is_forgotten(tmp_path: Path) -> None:
    LeadershipMemory(tmp_path).note(TERM)

    assert LeadershipMemory(tmp_path).recall(VA) == TERM

    LeadershipMemory(tmp_path).forget()
    assert LeadershipMemory(tmp_path).recall(VA) is None


def test_a_term_of_another_datacenter_is_not_ours(tmp_path: Path) -> None:
    LeadershipMemory(tmp_path).note(replace(TERM, datacenter_id=DatacenterId(2)))

    assert LeadershipMemory(tmp_path).recall(VA) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"term": 7}', '"x"', '{"term": {}}'])
def test_a_damaged_file_recalls_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "leadership.json").write_text(text)
    (tmp_path / "monitors.json").write_text(text)

    assert LeadershipMemory(tmp_path).recall(VA) is None
    assert CatalogSnapshot(tmp_path).load() in (Configuration(), Configuration([], []))


def test_rows_come_back_as_they_were_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    CatalogSnapshot(tmp_path / "new").save(Configuration([ROW], [SEALED]))

    assert CatalogSnapshot(tmp_path / "new").load() == Configuration([ROW], [SEALED])
    assert (tmp_path / "new" / "monitors.json").stat().st_mode & 0o077 == 0


def test_the_rows_of_a_release_without_secrets_are_read(tmp_path: Path) -> None:
    (tmp_path / "monitors.json").write_text(json.dumps([asdict(ROW)]))

    assert CatalogSnapshot(tmp_path).load() == Configuration([ROW], [])


def test_a_disk_that_refuses_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    CatalogSnapshot(tmp_path / "file").save(Configuration([ROW], [SEALED]))
    LeadershipMemory(tmp_path / "file").note(TERM)


def test_who_else_was_there_is_remembered(tmp_path: Path) -> None:
    book = PeerBook(key=b"k" * 32, addresses=("192.0.2.1:4", "[2001:db8::1]:5"))
    memory = PeerMemory(tmp_path)

    memory.note("192.0.2.9", book)

    assert PeerMemory(tmp_path).recall() == ("192.0.2.9", book)
    assert (tmp_path / "peers.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{}", '{"own_host": "h", "key": "no hex", "addresses": []}'])
def test_a_damaged_note_of_the_others_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "peers.json").write_text(text)

    assert PeerMemory(tmp_path).recall() is None

"""In which ways can the files of a spool be damaged, and what had been acknowledged before?"""

import ctypes
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread

from tests.support.builders import NOON, heartbeat
from uptimeo.domain.heartbeat import to_wire
from uptimeo.heartbeats.spool import Spool

_ROWS, _GROUP, _UNDER_WAY = 300, 5, 40
_ROUND = 6000  # rows that make the log begin anew at least twice
NOBODY = 65534
_WAL_HEADER, _FRAME_HEADER, _PAGE = 32, 24, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """The files of a spool whose process is gone, and what it had acknowledged.

    The first `committed` bytes of the log hold what was acknowledged. What follows is the torn
    tail: groups whose fsync had not returned, or leftovers from before the last checkpoint.
    What was `sent` has left again; damage may bring it back.
    """

    directory: Path
    acknowledged: frozenset[str]
    sent: frozenset[str] = frozenset()
    under_way: frozenset[str] = frozenset()
    committed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One way to damage the files in a directory.

    It is `harmless` if nothing acknowledged is in it. Loss is counted `exact`ly unless a row's
    number can change: that row is sent, and missed under its old number.
    """

    of: str
    do: Callable[[Path, Specimen, random.Random], None]
    harmless: bool = False
    exact: bool = True


def body(number: int) -> str:
    """A heartbeat in its wire form."""
    slot = NOON + timedelta(minutes=number)
    return to_wire(heartbeat(7, scheduled_at=slot, executed_at=slot))


@contextmanager
def specimens() -> Iterator[Mapping[str, Specimen]]:
    """By name; they are copied, not used."""
    with tempfile.TemporaryDirectory(prefix="uptimeo-specimens-") as name:
        root = Path(name)
        yield {
            "torn": _torn(root),
            "again": _again(root),
            "closed": _closed(root),
            "sending": _sending(root),
        }


def _torn(root: Path) -> Specimen:
    """Killed while groups were on their way to the disk."""
    with closing(Spool(root / "torn-work")) as spool:
        _fill(spool, range(_ROWS))
        committed = (root / "torn-work" / "spool.db-wal").stat().st_size
        ledger = (root / "torn-work" / "spool.ledger").read_bytes()
        _fill(spool, range(_ROWS, _ROWS + _UNDER_WAY))
        shutil.copytree(root / "torn-work", root / "torn")
        (root / "torn" / "spool.ledger").write_bytes(ledger)  # it waits for the fsync
    return Specimen(
        directory=root / "torn",
        acknowledged=frozenset(body(n) for n in range(_ROWS)),
        under_way=frozenset(body(n) for n in range(_ROWS, _ROWS + _UNDER_WAY)),
        committed=committed,
    )


def _again(root: Path) -> Specimen:
    """Killed when the log had begun anew: behind what counts lie frames from before."""
    with closing(Spool(root / "again-work")) as spool:
        _fill(spool, range(_ROUND))
        shutil.copytree(root / "again-work", root / "again")
    return Specimen(
        directory=root / "again",
        acknowledged=frozenset(body(n) for n in range(_ROUND)),
        committed=_end_of_commits((root / "again" / "spool.db-wal").read_bytes()),
    )


def _closed(root: Path) -> Specimen:
    """Ended in order: everything is in the database file, there is no log."""
    with closing(Spool(root / "closed")) as spool:
        _fill(spool, range(_ROWS))
    return Specimen(
        directory=root / "closed", acknowledged=frozenset(body(n) for n in range(_ROWS))
    )


def _sending(root: Path) -> Specimen:
    """Killed while it took and sent; most of it is in the log, the removals too."""
    dice, sent = random.Random(5), set()
    with closing(Spool(root / "sending-work")) as spool:
        for first in range(0, _ROWS, 10):
            _fill(spool, range(first, first + 10))
            rows = dice.choice([spool.newest, spool.oldest])(dice.randrange(8))
            spool.remove(rows)
            sent |= {row.body for row in rows}
        shutil.copytree(root / "sending-work", root / "sending")
    return Specimen(
        directory=root / "sending",
        acknowledged=frozenset(body(n) for n in range(_ROWS)) - sent,
        sent=frozenset(sent),
        committed=_end_of_commits((root / "sending" / "spool.db-wal").read_bytes()),
    )


def _fill(spool: Spool, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, _GROUP):
        spool.append([body(n) for n in range(first, first + _GROUP)])


def _end_of_commits(log: bytes) -> int:
    """Where the last commit of the log's present round ends, by the format of SQLite."""
    salts = log[16:24]
    end = place = _WAL_HEADER
    while place < len(log) and log[place + 8 : place + 16] == salts:
        (size,) = struct.unpack(">I", log[place + 4 : place + 8])
        place += _FRAME_HEADER + _PAGE
        end = place if size else end
    assert _WAL_HEADER < end <= len(log), "the log holds no round"
    return end


# Damage. The log is `spool.db-wal`.


def _tail_cut(at: Path, specimen: Specimen, dice: random.Random) -> None:
    log = at / "spool.db-wal"
    _cut(log, dice.randrange(specimen.committed, log.stat().st_size))


def _tail_noise(at: Path, specimen: Specimen, dice: random.Random) -> None:
    log = at / "spool.db-wal"
    start = dice.randrange(specimen.committed, log.stat().st_size)
    _write(log, start, dice.randbytes(dice.randrange(1, log.stat().st_size - start + 1)))


def _tail_longer(at: Path, specimen: Specimen, dice: random.Random) -> None:
    with (at / "spool.db-wal").open("ab") as log:
        log.write(dice.randbytes(dice.randrange(1, 9000)))


def _index_noise(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.db-shm").write_bytes(dice.randbytes(dice.choice([0, 1, 32, 4096, 32768])))


def _lock_noise(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.lock").write_bytes(dice.randbytes(100))


def _log_cut(at: Path, specimen: Specimen, dice: random.Random) -> None:
    _cut(at / "spool.db-wal", dice.randrange(specimen.committed))


def _log_bits(at: Path, specimen: Specimen, dice: random.Random) -> None:
    _flip(at / "spool.db-wal", specimen.committed, dice)


def _log_gone(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.db-wal").unlink()


def _file_bits(at: Path, specimen: Specimen, dice: random.Random) -> None:
    _flip(at / "spool.db", (at / "spool.db").stat().st_size, dice)


def _file_pages(at: Path, specimen: Specimen, dice: random.Random) -> None:
    file = at / "spool.db"
    for _ in range(dice.choice([1, 1, 2, 4])):
        page = dice.randrange(file.stat().st_size // _PAGE)
        _write(file, page * _PAGE, dice.choice([bytes(_PAGE), dice.randbytes(_PAGE)]))


def _file_cut(at: Path, specimen: Specimen, dice: random.Random) -> None:
    _cut(at / "spool.db", dice.randrange((at / "spool.db").stat().st_size))


def _file_gone(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.db").unlink()


def _file_emptied(at: Path, specimen: Specimen, dice: random.Random) -> None:
    _cut(at / "spool.db", 0)


def _ledger_noise(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.ledger").write_bytes(dice.randbytes(dice.choice([0, 1, 100, _PAGE])))


def _ledger_gone(at: Path, specimen: Specimen, dice: random.Random) -> None:
    (at / "spool.ledger").unlink()


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _write(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def _flip(path: Path, size: int, dice: random.Random) -> None:
    content = path.read_bytes()
    for _ in range(dice.choice([1, 1, 2, 8, 64])):
        place = dice.randrange(size)
        _write(path, place, bytes([content[place] ^ 1 << dice.randrange(8)]))


DAMAGES: Mapping[str, Damage] = {
    "tail of the log cut": Damage(of="torn", do=_tail_cut, harmless=True),
    "tail of the log noise": Damage(of="torn", do=_tail_noise, harmless=True),
    "tail of the log longer": Damage(of="torn", do=_tail_longer, harmless=True),
    "leftovers in the log cut": Damage(of="again", do=_tail_cut, harmless=True),
    "leftovers in the log noise": Damage(of="again", do=_tail_noise, harmless=True),
    "index of the log noise": Damage(of="torn", do=_index_noise, harmless=True),
    "lock file noise": Damage(of="torn", do=_lock_noise, harmless=True),
    "ledger noise": Damage(of="sending", do=_ledger_noise, harmless=True),
    "ledger gone": Damage(of="sending", do=_ledger_gone, harmless=True),
    "log cut": Damage(of="torn", do=_log_cut),
    "bits of the log": Damage(of="torn", do=_log_bits),
    "log gone": Damage(of="torn", do=_log_gone),
    "log cut, some sent": Damage(of="sending", do=_log_cut),
    "bits of the log, some sent": Damage(of="sending", do=_log_bits),
    "log gone, some sent": Damage(of="sending", do=_log_gone),
    "bits of the file": Damage(of="closed", do=_file_bits, exact=False),
    "pages of the file": Damage(of="closed", do=_file_pages),
    "file cut": Damage(of="closed", do=_file_cut),
    "file gone": Damage(of="closed", do=_file_gone),
    "file gone, log there": Damage(of="torn", do=_file_gone),
    "file emptied, log there": Damage(of="sending", do=_file_emptied),
}


# Surroundings.


def as_nobody(work: Callable[[], str]) -> str:
    """Do it in a thread that has no more rights on files than any user."""
    if os.geteuid() != 0:
        return work()
    answers = []

    def run() -> None:
        libc = ctypes.CDLL(None)
        libc.setfsgid(NOBODY)
        libc.setfsuid(NOBODY)  # of this thread alone; drops the right to ignore file modes
        answers.append(work())

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


@contextmanager
def small_disk(path: Path) -> Iterator[Path | None]:
    """A disk of 2 MB, or None where none can be mounted."""
    path.mkdir()
    options = ("-t", "tmpfs", "-o", "size=2m", "none", str(path))
    try:
        mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode
    except FileNotFoundError:
        mounted = 1
    try:
        yield path if mounted == 0 else None
    finally:
        if mounted == 0:
            subprocess.run(["umount", str(path)], check=True, capture_output=True)

"""What the doctor sees of a host: the kernel's files, the spool's directory, name servers."""

import asyncio
import fcntl
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.support.doctor import settings
from tests.support.servers import serve
from uptimeo.doctor import proc
from uptimeo.doctor.facts import OpsAnswer, Process, Unseen
from uptimeo.doctor.host import asked, in_thread, ready, seen, spool_facts

STATUS = """Name:\tuptimeo
Uid:\t1000\t1001\t1000\t1000
Gid:\t1000\t50\t1000\t1000
Groups:\t4 27
CapEff:\t{caps}
"""
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max open files            {files}                 4096                 files
"""


def kernel(root: Path, *, files: str = "1024", caps: str = "0", group_range: str = "1 0") -> Path:
    """A tree as in /proc, with the process 7."""
    place = root / "proc/7"
    place.mkdir(parents=True)
    (place / "status").write_text(STATUS.format(caps=caps))
    (place / "limits").write_text(LIMITS.format(files=files))
    (root / "proc/sys/net/ipv4").mkdir(parents=True)
    (root / "proc/sys/net/ipv4/ping_group_range").write_text(group_range.replace(" ", "\t") + "\n")
    return root


def test_a_process_is_read_with_its_effective_user_and_groups(tmp_path: Path) -> None:
    found = proc.process(7, kernel(tmp_path, caps="0000000000002000"))

    assert found == Process(
        pid=7, user=1001, groups=frozenset({50, 4, 27}), raw_sockets=True, open_files=1024
    )


def test_no_limit_is_a_large_one(tmp_path: Path) -> None:
    assert proc.process(7, kernel(tmp_path, files="unlimited")).open_files == 2**31


@pytest.mark.parametrize(
    ("group_range", "allowed"),
    [("1 0", False), ("0 2147483647", True), ("27 27", True), ("28 49", False), ("", False)],
)
def test_any_of_its_groups_lets_a_process_ping(
    tmp_path: Path, group_range: str, *, allowed: bool
) -> None:
    root = kernel(tmp_path, group_range=group_range)
    rights = proc.rights_of(proc.process(7, root), root)

    assert (rights.datagram, rights.raw, rights.group_range) == (allowed, False, group_range)


def test_who_holds_the_spool_is_found_and_the_lock_left_alone(tmp_path: Path) -> None:
    lock = tmp_path / "spool.lock"
    nobody = proc.holder(lock)
    with lock.open("w") as file:
        free = proc.holder(lock)
        fcntl.flock(file, fcntl.LOCK_EX)
        held = proc.holder(lock)

    assert nobody is free is None
    assert held is not None
    assert held.pid == os.getpid()


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (["{own}"], True),
        (["fe:09"], False),
        (["00:2a"], True),  # as btrfs and overlay show it
        (["fe:09", "{own}"], True),
        (["fe:09", "00:2a"], False),
    ],
)
def test_a_lock_of_the_same_number_on_another_device_is_not_the_spools(
    tmp_path: Path, shown: list[str], *, found: bool
) -> None:
    lock = tmp_path / "spool.lock"
    lock.touch()
    status = lock.stat()
    own = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    root = kernel(tmp_path / "root")
    lines = [
        f"{n}: FLOCK  ADVISORY  WRITE 7 {device.format(own=own)}:{status.st_ino} 0 EOF\n"
        for n, device in enumerate(shown, 1)
    ]
    (root / "proc/locks").write_text("".join(lines))

    assert (proc.holder(lock, root) is not None) is found


def test_the_innermost_and_last_mount_says_what_a_path_lies_on(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /var rw shared:1 - xfs /dev/sdb1 rw\n"
        "3 1 0:9 / /var/with\\040space rw - nfs4 server:/x rw\n"
        "4 1 0:8 / /var rw - tmpfs tmpfs rw\n"
    )

    assert proc.file_system(Path("/home/me"), tmp_path) == "ext4"
    assert proc.file_system(Path("/var/lib"), tmp_path) == "tmpfs"
    assert proc.file_system(Path("/variable"), tmp_path) == "ext4"
    assert proc.file_system(Path("/var/with space/spool"), tmp_path) == "nfs4"


def test_the_first_three_name_servers_are_those_that_are_asked(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text(
        "# nameserver 192.0.2.9\nsearch example\n"
        + "".join(f"nameserver 192.0.2.{n}\n" for n in range(5))
    )

    assert proc.nameservers(tmp_path) == ("192.0.2.0", "192.0.2.1", "192.0.2.2")


def test_a_directory_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    found = spool_facts(tmp_path / "data" / "spool")

    assert (found.exists, found.error, found.owner) == (False, "", os.geteuid())
    assert found.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_a_spool_is_measured_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"x" * 100)
    (tmp_path / "spool.db-wal").write_bytes(b"x" * 11)
    (tmp_path / "spool.db.bad-17").touch()
    (tmp_path / "spool.db.bad-17-wal").touch()
    before = sorted(tmp_path.iterdir())
    found = spool_facts(tmp_path)

    assert (found.spool_bytes, found.asides, found.error) == (111, 1, "")
    assert found.sync_ms > 0
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()

    assert "is no directory" in spool_facts(tmp_path / "spool").error


async def test_a_disk_that_hangs_is_not_waited_for() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await in_thread(lambda: time.sleep(0.5))


async def test_what_the_system_refuses_is_not_seen_and_why() -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied")

    assert await seen(in_thread(lambda: 3)) == 3
    assert await seen(in_thread(refused)) == Unseen("[Errno 13] Permission denied")


def test_a_name_server_is_asked_and_any_answer_will_do() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def refuse() -> None:
            question, where = server.recvfrom(512)
            server.sendto(b"xx of somebody else", where)
            server.sendto(question[:2] + b"\x81\x05" + question[4:], where)

        answering = threading.Thread(target=refuse)
        answering.start()
        took = asked("127.0.0.1", port)
        answering.join()

    assert took is not None
    assert asked("127.0.0.1", port) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", OpsAnswer(200, "{}")),
        (
            b'HTTP/1.1 503 X\r\n\r\n{"ready": false, "problems": ["a", "b"]}',
            OpsAnswer(503, "a; b"),
        ),
        (b"", OpsAnswer(None, "what came is no answer in HTTP")),
    ],
)
async def test_the_agent_here_is_asked_whether_it_is_ready(answer: bytes, told: OpsAnswer) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    agent = proc.process(os.getpid())
    async with serve(script) as address:
        listen = settings(UPTIMEO_OPS_LISTEN=f"0.0.0.0:{address.port}")
        assert await ready(listen, agent) == told
        assert await ready(listen, None) is None
        assert await ready(settings(), agent) is None
    assert (await ready(listen, agent)) == OpsAnswer(None, "Connection refused")

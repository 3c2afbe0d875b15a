"""What does the kernel tell of the agent that runs here, and of file systems?

Nothing is touched: taking the agent's lock, even for a moment, could refuse its start.
"""

import os
import resource
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from uptimeo.doctor.facts import PingRights, Process

_CAP_NET_RAW = 13
_RANGE = Path("proc/sys/net/ipv4/ping_group_range")


def holder(lock: Path, root: Path = Path("/")) -> Process | None:
    """The process that holds the lock of a spool, None if none does; raises OSError."""
    try:
        status = lock.stat()
    except FileNotFoundError:
        return None
    holders: dict[str, int] = {}
    for line in (root / "proc/locks").read_text("ascii", "replace").splitlines():
        # 1: FLOCK ADVISORY WRITE 4711 fe:00:131 0 EOF
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK":
            device, _, inode = fields[5].rpartition(":")
            if inode == str(status.st_ino):
                holders[device] = int(fields[4])
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        if (pid := _of_device(holders, status.st_dev)) is not None:
            return process(pid, root)
    return None


def _of_device(holders: Mapping[str, int], device: int) -> int | None:
    """Who holds the lock there. Some file systems (btrfs, overlay) show another device than ours.

    On two of the others, two files easily have the same number.
    """
    shown = f"{os.major(device):02x}:{os.minor(device):02x}"
    if shown in holders or len(holders) != 1:
        return holders.get(shown)
    ((other, pid),) = holders.items()
    # Devices without a number of their own (major 0) are those whose own may differ.
    return pid if other.startswith("00:") or shown.startswith("00:") else None


def process(pid: int, root: Path = Path("/")) -> Process:
    """A process by its number; raises OSError if there is none that can be seen."""
    fields: dict[str, list[str]] = {}
    for line in (root / f"proc/{pid}/status").read_text("utf-8", "replace").splitlines():
        name, _, rest = line.partition(":")
        fields[name] = rest.split()
    groups = {*fields["Gid"][1:2], *fields.get("Groups", [])}
    return Process(
        pid=pid,
        user=int(fields["Uid"][1]),
        groups=frozenset(map(int, groups)),
        raw_sockets=bool(int(fields["CapEff"][0], 16) >> _CAP_NET_RAW & 1),
        open_files=_open_files(root / f"proc/{pid}/limits"),
    )


def own_open_files() -> int:
    """The limit of this process, which a process started like it would have."""
    return _limited(str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def rights_of(found: Process, root: Path = Path("/")) -> PingRights:
    """Whether the kernel would let that process ping."""
    shown = _group_range(root)
    bounds = [int(part) for part in shown.split() if part.isdecimal()]
    inside = len(bounds) == 2 and any(bounds[0] <= group <= bounds[1] for group in found.groups)
    return PingRights(datagram=inside, raw=found.raw_sockets, group_range=shown)


def own_rights(root: Path = Path("/")) -> PingRights:
    """Whether it lets this one, found out by opening sockets."""
    return PingRights(
        datagram=_opens(socket.SOCK_DGRAM),
        raw=_opens(socket.SOCK_RAW),
        group_range=_group_range(root),
    )


def file_system(path: Path, root: Path = Path("/")) -> str:
    """The type of the file system that an absolute path without links lies on; raises OSError."""
    best, kind = -1, "?"
    for line in (root / "proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        front, _, back = line.partition(" - ")
        place = Path(_unescaped(front.split()[4]))
        # Of several on one place, the last hides the others.
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), back.split()[0]
    return kind


def nameservers(root: Path = Path("/")) -> tuple[str, ...]:
    """Those of resolv.conf, of which the C library asks the first three; raises OSError."""
    lines = (root / "etc/resolv.conf").read_text("utf-8", "replace").splitlines()
    fields = (line.split() for line in lines)
    return tuple(f[1] for f in fields if len(f) > 1 and f[0] == "nameserver")[:3]


def _open_files(limits: Path) -> int:
    for line in limits.read_text("utf-8", "replace").splitlines():
        if line.startswith("Max open files"):
            return _limited(line.split()[3])
    return 2**31


def _limited(text: str) -> int:
    return int(text) if text.isdecimal() else 2**31


def _group_range(root: Path) -> str:
    try:
        return " ".join((root / _RANGE).read_text("ascii").split())
    except OSError:
        return ""


def _opens(kind: socket.SocketKind) -> bool:
    try:
        socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


def _unescaped(text: str) -> str:
    """The kernel writes a space in a path as three digits behind a backslash."""
    parts = text.split("\\")
    rest = (chr(int(p[:3], 8)) + p[3:] if p[:3].isdecimal() else "\\" + p for p in parts[1:])
    return parts[0] + "".join(rest)


def me() -> int:
    """The user as whom this process acts."""
    return os.geteuid()

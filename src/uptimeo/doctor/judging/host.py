"""Can an agent do its work on this host? Pure."""

from collections.abc import Iterator

from uptimeo.doctor.facts import (
    Facts,
    HostFacts,
    Nameserver,
    OpsAnswer,
    PingRights,
    Process,
    Seen,
    SpoolFacts,
    Unseen,
)
from uptimeo.doctor.judging.database import is_near
from uptimeo.doctor.judging.words import Subject, size
from uptimeo.domain.finding import Finding
from uptimeo.settings import Settings
from uptimeo.storage.health import Assigned

_LOST_WITH = {
    "tmpfs": "memory: what waits is lost when the host restarts",
    "ramfs": "memory: what waits is lost when the host restarts",
    "overlay": "the layer of a container: what waits is lost with the container",
}
# SQLite's log needs locks and shared memory that a network does not give.
_NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "fuse.s3fs", "glusterfs", "fuse.glusterfs")
_SLOW_SYNC_MS = 500
_LEAST_FREE = 200_000_000
_LEAST_FILES = 1_000
# A check may need two sockets and a file, the rest of the agent some dozens.
_FILES_A_CHECK, _OTHER_FILES = 3, 200


def findings(facts: Facts) -> Iterator[Finding]:
    """All that is about this host; nothing where no agent belongs."""
    host, settings = facts.host, facts.setup.settings
    if host is None or settings is None:
        return
    yield from Subject("process").judged(host.process, lambda found: _process(found, settings))
    yield from Subject("ready").judged(host.ready, _ready)
    yield from Subject("ping").judged(
        host.ping, lambda found: _ping(found, facts.database.assigned)
    )
    yield from Subject("spool").judged(host.spool, _spool)
    yield from Subject("disk").judged(host.spool, lambda found: _disk(found, settings))
    yield from Subject("open-files").judged(
        host.open_files, lambda limit: _open_files(limit, settings)
    )
    yield from Subject("resolver").judged(host.nameservers, _resolver)
    yield from _ops(settings)
    yield from _exec_file(host, settings)


def _process(found: Process | None, settings: Settings) -> Iterator[Finding]:
    subject = Subject("process")
    if found is None:
        yield subject.warning(
            f"none runs on {settings.data_dir}",
            "start `uptimeo agent`; if one runs, give this command its UPTIMEO_DATA_DIR",
        )
    else:
        yield subject.ok(f"process {found.pid} of user {found.user}")


def _ready(found: OpsAnswer | None) -> Iterator[Finding]:
    subject = Subject("ready")
    if found is None:
        return
    if found.status == 200:
        yield subject.ok("/readyz answers 200")
    elif found.status is None:
        yield subject.warning(
            f"/readyz does not answer: {found.text}",
            "see ops_unavailable in the agent's log; UPTIMEO_OPS_LISTEN may differ from this one",
        )
    else:
        yield subject.critical(
            f"/readyz answers {found.status}: {found.text}",
            "docs/metrics.md says when an agent is ready",
        )


def _ping(found: PingRights, assigned: Seen[list[Assigned]]) -> Iterator[Finding]:
    subject = Subject("ping")
    if found.datagram or found.raw:
        how = "ping_group_range" if found.datagram else "CAP_NET_RAW"
        yield subject.ok(f"allowed by {how}")
        return
    value = f'not allowed; net.ipv4.ping_group_range is "{found.group_range or "not readable"}"'
    advice = (
        "sysctl -w net.ipv4.ping_group_range='0 2147483647', or give the agent CAP_NET_RAW"
        " (AmbientCapabilities=CAP_NET_RAW in its unit)"
    )
    if isinstance(assigned, Unseen):
        yield subject.warning(f"{value}; whether a monitor pings could not be seen", advice)
    elif number := sum(each.number for each in assigned if each.type in ("ping", "icmp")):
        yield subject.critical(f"{value}; {number} monitors that ping are unknown", advice)
    else:
        yield subject.ok(f"{value}; no monitor pings", advice)


def _spool(found: SpoolFacts) -> Iterator[Finding]:
    subject = Subject("spool")
    if found.exists and found.me not in (found.owner, 0):
        yield subject.unknown(
            f"{found.directory} belongs to user {found.owner}, and this is user {found.me}",
            f"run this as the agent's user: sudo -E -u '#{found.owner}' uptimeo doctor",
        )
    elif found.error:
        yield subject.critical(
            f"{found.directory} cannot be written: {found.error}",
            "make room, give the agent's user the directory, or set UPTIMEO_DATA_DIR",
        )
    elif found.sync_ms > _SLOW_SYNC_MS:
        yield subject.warning(
            f"{found.directory}: an fsync took {found.sync_ms:.0f} ms",
            "put it on a faster disk: heartbeats wait in memory meanwhile, 10,000 at most",
        )
    else:
        made = "" if found.exists else ", is made at the first start"
        yield subject.ok(f"{found.directory}{made}; an fsync took {found.sync_ms:.1f} ms")
    yield from _file_system(found)
    if found.asides:
        yield subject.warning(
            f"{found.asides} damaged files were moved aside in {found.directory}",
            "see spool_moved_aside and spool_lost in the agent's log and check the disk; then"
            " delete spool.db.bad-*: docs/operations.md#heartbeats-dropped",
            "damaged spool files",
        )


def _file_system(found: SpoolFacts) -> Iterator[Finding]:
    subject = Subject("file-system")
    kind, advice = found.file_system, "set UPTIMEO_DATA_DIR to a directory on a disk of this host"
    if kind in _LOST_WITH:
        yield subject.warning(f"{kind} is {_LOST_WITH[kind]}", advice)
    elif kind.startswith(_NETWORK):
        yield subject.critical(f"{kind} is a network file system: it damages the spool", advice)
    else:
        yield subject.ok(kind)


def _disk(found: SpoolFacts, settings: Settings) -> Iterator[Finding]:
    subject = Subject("disk")
    value = f"{size(found.free_bytes)} free, the spool has {size(found.spool_bytes)}"
    growth = max(0, settings.spool_max_bytes - found.spool_bytes)
    if found.free_bytes < _LEAST_FREE:
        yield subject.critical(value, "make room now: without it heartbeats are dropped")
    elif found.free_files is not None and found.free_files < _LEAST_FILES:
        yield subject.critical(f"{found.free_files} files can be made", "delete files: no inodes")
    elif found.free_bytes < growth:
        yield subject.warning(
            f"{value} and may grow by {size(growth)} in an outage",
            "make room, or lower UPTIMEO_SPOOL_MAX_BYTES",
        )
    else:
        yield subject.ok(value)


def _open_files(limit: int, settings: Settings) -> Iterator[Finding]:
    subject = Subject("open-files")
    wanted = _FILES_A_CHECK * settings.max_checks + _OTHER_FILES
    told = f"{limit}" if limit < 2**31 else "no limit"
    if limit < settings.max_checks + _OTHER_FILES:
        yield subject.warning(
            f"{told}, and {settings.max_checks} checks at one time may need {wanted}",
            f"LimitNOFILE={wanted} in its unit, or ulimit -n {wanted}; or a lower"
            " UPTIMEO_MAX_CHECKS",
        )
    else:
        yield subject.ok(f"{told} for {settings.max_checks} checks at one time")


def _resolver(found: tuple[Nameserver, ...]) -> Iterator[Finding]:
    subject = Subject("resolver")
    dead = [each.address for each in found if each.after_ms is None]
    alive = [
        f"{each.address} in {each.after_ms:.0f} ms" for each in found if each.after_ms is not None
    ]
    if not found:
        yield subject.warning(
            "/etc/resolv.conf names no server: only names in /etc/hosts are known",
            "add a nameserver, unless every monitor has an address",
        )
    elif not alive:
        yield subject.critical(
            f"no answer from {', '.join(dead)}",
            "checks of names fail with dns_timeout: correct /etc/resolv.conf, or its way there",
        )
    elif dead:
        yield subject.warning(
            f"no answer from {', '.join(dead)}; {', '.join(alive)}",
            "lookups wait for it: take it out of /etc/resolv.conf, or repair it",
        )
    else:
        yield subject.ok(", ".join(alive))


def _ops(settings: Settings) -> Iterator[Finding]:
    subject = Subject("ops")
    address = settings.ops_address()
    if address is None:
        yield subject.ok("off")
    elif is_near(address[0]):
        yield subject.ok(f"{settings.ops_listen}, for this host alone")
    else:
        yield subject.ok(
            f"{settings.ops_listen}, beyond this host, without a login",
            "let only the scraper reach it: it tells the names of monitors and how they fare",
        )


def _exec_file(host: HostFacts, settings: Settings) -> Iterator[Finding]:
    subject = Subject("exec-file")
    if settings.exec_file is None:
        return
    if isinstance(host.exec_file, Unseen):
        yield subject.warning(
            host.exec_file.why, "correct the file: until then exec monitors are unknown"
        )
    else:
        yield subject.ok(host.exec_file)

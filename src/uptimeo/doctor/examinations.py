"""Which examinations are there, and what does each look at? The words of docs/doctor.md. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Its name for people, what it looks at, when it warns, when it is critical."""

    title: str
    looks_at: str
    warning: str = ""
    critical: str = ""


_DATABASE = {
    "settings": Examination(
        title="settings",
        looks_at="the variables of `uptimeo agent`",
        critical="one is missing or wrong: an agent does not start",
    ),
    "database": Examination(
        title="database",
        looks_at="the way to the database: name, port, login",
        critical="it is not reached, or falls silent; the advice differs by cause",
    ),
    "server-version": Examination(
        title="server version", looks_at="PostgreSQL itself", critical="it is older than 17"
    ),
    "tls": Examination(
        title="TLS",
        looks_at="whether the connection is encrypted, and the certificate verified",
        warning="a server on another host is reached without TLS",
    ),
    "schema": Examination(
        title="schema",
        looks_at="revision of the tables, digest of functions, views and rights",
        critical="they are not those of this release, or there are none",
    ),
    "clock": Examination(
        title="clock",
        looks_at="this host's clock against the database's, by the fastest of five questions",
        warning="they are surely more than 1 s apart",
    ),
    "notifications": Examination(
        title="notifications",
        looks_at="whether NOTIFY on one connection reaches LISTEN on another",
        warning="it does not: a pooler in transaction mode; changes are found by polling",
    ),
    "role": Examination(
        title="role",
        looks_at="who logs in, and for which datacenter that role may act",
        warning="an agent would log in as a superuser or as the owner",
        critical="it may act for no datacenter, or for another than `DATACENTER_ID`",
    ),
}
_DUTY = {
    "datacenter": Examination(
        title="datacenter", looks_at="`DATACENTER_ID`", critical="there is no such datacenter"
    ),
    "monitors": Examination(
        title="monitors",
        looks_at="how many monitors of the datacenter are enabled, by type",
        warning="there are none",
    ),
    "rows": Examination(
        title="rows on this host",
        looks_at="each row, with the secrets and variables of this host; no value is shown",
        warning="a row cannot be used here, or a reference not be resolved",
    ),
    "config-errors": Examination(
        title="config errors",
        looks_at="`monitor_config_errors`",
        warning="agents could not use an enabled row",
    ),
    "leader": Examination(
        title="leader",
        looks_at="the lease of each datacenter: who, which term, for how long still",
        critical="nobody leads where agents run",
    ),
    "overlaps": Examination(
        title="counted overlaps",
        looks_at="`leadership_overlaps`",
        critical="a heartbeat counts that ran after its term: a bug",
    ),
    "agents": Examination(
        title="agents",
        looks_at="`agent_instances`: when each was seen, what waits, what was dropped",
        warning="one is silent for 30 s or longer, or dropped heartbeats",
    ),
    "peers": Examination(
        title="peers",
        looks_at="whether the agents of a datacenter hear each other; `UPTIMEO_PEER_LISTEN`",
        warning="one hears fewer than run beside it, or listening is off",
    ),
    "receivers": Examination(
        title="receivers",
        looks_at="who takes the signals of jobs",
        critical="nobody does, and push monitors wait",
    ),
    "maintenance": Examination(
        title="maintenance",
        looks_at="the lease of whoever makes partitions, drops them and rolls up",
        warning="nobody holds it, though an agent runs",
    ),
}
_UPKEEP = {
    "partitions": Examination(
        title="partitions",
        looks_at="for how many days after today each table has room",
        critical="fewer than 3",
    ),
    "retention-clock": Examination(
        title="retention's clock",
        looks_at="whether the database's clock is where it was seen to go",
        warning="it was 7 days ahead, and nothing is dropped for three days",
        critical="it was 90 days ahead, and nothing is dropped until somebody confirms it",
    ),
    "retention": Examination(
        title="retention",
        looks_at="partitions that are older than they are kept",
        warning="one is two days overdue",
    ),
    "detached": Examination(
        title="detached partitions",
        looks_at="tables that once were partitions",
        warning="there are some: nothing drops them",
    ),
    "rollups": Examination(
        title="rollups", looks_at="how late they are", warning="more than half an hour"
    ),
    "rollups-agree": Examination(
        title="rollups agree",
        looks_at="`rollup_differences` of ten minutes an hour ago",
        critical="a figure is not what the heartbeats say",
    ),
    "set-aside": Examination(
        title="heartbeats set aside",
        looks_at="`set_aside_heartbeats`",
        warning="there are some that nobody looked at and deleted",
    ),
    "unusual": Examination(
        title="unusual heartbeats",
        looks_at="`unusual_heartbeats` of the last week",
        warning="heartbeats were stored that were not due",
    ),
    "roles": Examination(
        title="roles",
        looks_at="the roles that `uptimeo db roles` made",
        warning="one may do more than it was given",
    ),
    "vacuum": Examination(
        title="vacuum",
        looks_at="autovacuum, and the age of the oldest transaction id",
        warning="a partition is left out, or the age is beyond 1.5 times where autovacuum begins",
        critical="it is off, or the age is beyond 1000 million",
    ),
    "transactions": Examination(
        title="transactions",
        looks_at="transactions open for half an hour, prepared ones too",
        warning="there is one: vacuum and retention wait for it",
    ),
    "slots": Examination(
        title="replication slots",
        looks_at="slots that keep write-ahead log",
        warning="one is unused, lost, or keeps more than 10 GB",
    ),
}
_HOST = {
    "process": Examination(
        title="agent on this host",
        looks_at="which process holds the spool",
        warning="none does",
    ),
    "ready": Examination(
        title="ready",
        looks_at="`/readyz` of that agent, if `UPTIMEO_OPS_LISTEN` is set",
        warning="it does not answer",
        critical="it is not ready",
    ),
    "ping": Examination(
        title="ping",
        looks_at="`net.ipv4.ping_group_range` and CAP_NET_RAW, of that agent if one runs",
        warning="not allowed, and whether a monitor pings is not known",
        critical="not allowed, and a monitor pings",
    ),
    "spool": Examination(
        title="spool",
        looks_at="whether a file can be made and brought to the disk; damaged files",
        warning="an fsync takes longer than 500 ms, or files were moved aside",
        critical="it cannot be written",
    ),
    "file-system": Examination(
        title="file system of the spool",
        looks_at="what the spool lies on",
        warning="it is lost with the host or the container: tmpfs, overlay",
        critical="it is a network's: NFS, CIFS and the like damage SQLite files",
    ),
    "disk": Examination(
        title="disk",
        looks_at="free bytes and files where the spool is",
        warning="less than it may still grow (`UPTIMEO_SPOOL_MAX_BYTES`)",
        critical="less than 200 MB, or than 1000 files",
    ),
    "open-files": Examination(
        title="open files",
        looks_at="the limit of that agent, else of this shell",
        warning="less than `UPTIMEO_MAX_CHECKS` and 200",
    ),
    "resolver": Examination(
        title="resolver",
        looks_at="each server of `/etc/resolv.conf`, by a question of its own",
        warning="one of several does not answer, or there is none",
        critical="none answers",
    ),
    "ops": Examination(
        title="ops endpoint",
        looks_at="`UPTIMEO_OPS_LISTEN`: a note if others than this host reach it",
    ),
    "exec-file": Examination(
        title="commands of exec monitors",
        looks_at="`UPTIMEO_EXEC_FILE`, if it is set",
        warning="it cannot be read, or others can write it",
    ),
}
GROUPS: Mapping[str, Mapping[str, Examination]] = MappingProxyType(
    {
        "The database": MappingProxyType(_DATABASE),
        "Checks and who runs them": MappingProxyType(_DUTY),
        "The database in the long run": MappingProxyType(_UPKEEP),
        "This host": MappingProxyType(_HOST),
    }
)
EXAMINATIONS: Mapping[str, Examination] = MappingProxyType(
    {name: each for group in GROUPS.values() for name, each in group.items()}
)

"""Which facts are gathered before anything is judged? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from uptimeo.domain.partition import Hold
from uptimeo.settings import Settings
from uptimeo.storage import health, server

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unseen:
    """A fact that could not be had, and why; `right`: for want of a right."""

    why: str
    right: bool = False


Seen: TypeAlias = T | Unseen


class Trouble(StrEnum):
    """Why there is no connection."""

    UNNAMED = "unnamed"
    UNREADABLE = "unreadable"
    NAME = "name"
    REFUSED = "refused"
    SILENT = "silent"
    LOGIN = "login"
    CERTIFICATE = "certificate"
    FULL = "full"
    STANDBY = "standby"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Unreached:
    """There is no connection to the database; `text` says what happened, without a password."""

    trouble: Trouble
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the operator said.

    `conninfo` None: there is `trouble` with it, which `unnamed` tells. `local`: it is the server of
    a running `uptimeo up`. `settings` None: this is no host of an agent, or `complaint` tells why
    it cannot be one.
    """

    conninfo: str | None
    trouble: Trouble = Trouble.UNNAMED
    unnamed: str = ""
    local: bool = False
    settings: Settings | None = None
    complaint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsHere:
    """The monitors of the datacenter as this host reads them; `faults` by monitor, with reasons."""

    rows: int
    references: int
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What the database answered. Where it was not reached, all but `link` is `Unseen`.

    `stopped` says how it fell silent after it had been reached, "" if it did not.
    """

    link: server.Link | Unreached
    stopped: str = ""
    clock: Seen[server.ClockReading]
    notices: Seen[bool]
    schema: Seen[server.SchemaFound]
    role: Seen[server.RoleFound]
    datacenters: Seen[list[health.Datacenter]]
    assigned: Seen[list[health.Assigned]]
    rows: Seen[RowsHere]
    bad_rows: Seen[list[health.BadRow]]
    leaders: Seen[list[health.Leadership]]
    overlaps: Seen[int]
    agents: Seen[list[health.AgentSeen]]
    days_ahead: Seen[list[health.DaysAhead]]
    hold: Seen[Hold | None]
    overdue: Seen[list[str]]
    detached: Seen[list[str]]
    rollups: Seen[health.RollupLag]
    wrong_figures: Seen[list[health.WrongFigure]]
    set_aside: Seen[list[health.OddHeartbeats]]
    unusual: Seen[list[health.OddHeartbeats]]
    receiving: Seen[health.Receiving]
    mighty: Seen[list[health.MightyRole]]
    vacuuming: Seen[server.Vacuuming]
    transactions: Seen[server.LongTransactions]
    slots: Seen[list[server.Slot]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as the kernel tells it."""

    pid: int
    user: int
    groups: frozenset[int]
    raw_sockets: bool
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRights:
    """How the agent may ping; `group_range` is the sysctl, "" if there is none."""

    datagram: bool
    raw: bool
    group_range: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFacts:
    """The directory of the spool. `error`: why it cannot be written, "" if it can.

    `exists` False: the agent makes it, and what is told is of the directory above. `asides` are
    files that were damaged.
    """

    directory: Path
    exists: bool
    owner: int
    me: int
    error: str
    sync_ms: float
    file_system: str
    free_bytes: int
    free_files: int | None
    spool_bytes: int
    asides: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameserver:
    """A server of /etc/resolv.conf; `after_ms` None: it did not answer."""

    address: str
    after_ms: float | None


@dataclass(frozen=True, slots=True)
class OpsAnswer:
    """What the agent's own endpoint says of its readiness; `status` None: nothing answered."""

    status: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """This host, as far as an agent depends on it. `process` None: no agent holds the spool."""

    process: Seen[Process | None]
    open_files: Seen[int]
    ping: Seen[PingRights]
    spool: Seen[SpoolFacts]
    nameservers: Seen[tuple[Nameserver, ...]]
    ready: Seen[OpsAnswer | None]
    exec_file: Seen[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of them; `host` None: this is no host of an agent."""

    setup: Setup
    database: DatabaseFacts
    host: HostFacts | None

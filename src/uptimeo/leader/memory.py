"""What must an agent know to go on leading when it restarts without a database?"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook
from uptimeo.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """A term as its holder last knew it; `confirmed_at` is the host's own clock, UTC.

    `offline` says that the holder was going on without a database: nobody can have taken the term
    before the database came back.
    """

    datacenter_id: DatacenterId
    datacenter_code: str
    agent_id: int
    term: int
    candidate: UUID
    confirmed_at: datetime
    offline: bool = False


class LeadershipMemory:
    """One small file, there while this agent leads. Methods block for a disk's fsync."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "leadership.json"

    def note(self, leadership: Leadership) -> None:
        """Keep this, whole or not at all. A disk that refuses costs the resumption, no more."""
        fields = {
            "datacenter_id": leadership.datacenter_id,
            "datacenter_code": leadership.datacenter_code,
            "agent_id": leadership.agent_id,
            "term": leadership.term,
            "candidate": str(leadership.candidate),
            "offline": leadership.offline,
            "confirmed_at": leadership.confirmed_at.astimezone(UTC).isoformat(),
        }
        with suppress(OSError):
            replace_file(self._path, json.dumps(fields))

    def forget(self) -> None:
        """The term is over."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def recall(self, datacenter: DatacenterId) -> Leadership | None:
        """The term that was held at the end of the last run, if any, and in that datacenter."""
        try:
            fields = json.loads(self._path.read_text("utf-8"))
            found = Leadership(
                datacenter_id=DatacenterId(int(fields["datacenter_id"])),
                datacenter_code=str(fields["datacenter_code"]),
                agent_id=int(fields["agent_id"]),
                term=int(fields["term"]),
                candidate=UUID(fields["candidate"]),
                confirmed_at=datetime.fromisoformat(fields["confirmed_at"]),
                offline=fields["offline"] is True,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.datacenter_id == datacenter else None


class PeerMemory:
    """One small file: who else was there, for an agent that starts without a database."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "peers.json"
        self._noted: tuple[str, PeerBook] | None = None

    def note(self, own_host: str, book: PeerBook) -> None:
        """Keep this if it is news; blocks for a disk's fsync then."""
        if self._noted == (own_host, book):
            return
        fields = {"own_host": own_host, "key": book.key.hex(), "addresses": book.addresses}
        with suppress(OSError):
            replace_file(self._path, json.dumps(fields))
            self._noted = (own_host, book)

    def recall(self) -> tuple[str, PeerBook] | None:
        """The own host and the others, as they were known last."""
        try:
            fields = json.loads(self._path.read_text("utf-8"))
            addresses = tuple(str(each) for each in fields["addresses"])
            return str(fields["own_host"]), PeerBook(
                key=bytes.fromhex(fields["key"]), addresses=addresses
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

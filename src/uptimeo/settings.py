"""What did the operator say? Every environment variable, read once and passed on as values."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from uptimeo.catalog.sealing import SETTING as KEY_FILE
from uptimeo.catalog.values import DIRECTORY, ENV_PREFIX, ValueReader
from uptimeo.domain.errors import FatalError
from uptimeo.domain.text import masked
from uptimeo.probes.network.guard import SETTING, AddressGuard

_REFERENCES = "UPTIMEO_REFERENCE_TARGETS"
_STRING, _FILE = "DB_CONN_STRING", "DB_CONN_STRING_FILE"
_LONGEST_STRING = 65_536
_URI = re.compile(r"postgres(ql)?://")


def _libpq(text: str) -> str:
    if not _URI.match(text) and "=" not in text:
        raise ValueError("must be a libpq URI such as postgresql://user@host:5432/uptimeo")
    return text


def _references(text: str) -> str:
    for host, port in _pairs(text):
        if not host or not 0 < port < 65536:
            raise ValueError("must be host:port, separated by commas")
    return text


def _listen(text: str) -> str:
    if text not in ("auto", "off"):
        pairs = list(_pairs(text))
        if len(pairs) != 1 or not pairs[0][0] or not 0 < pairs[0][1] < 65536:
            raise ValueError("must be auto, off, or host:port")
    return text


def _ops(text: str) -> str:
    if text != "off":
        host, colon, port = text.rpartition(":")
        if not host or not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError("must be off, or host:port such as 127.0.0.1:9464")
    return text


def _networks(text: str) -> str:
    AddressGuard.of(text)
    return text


def _pairs(text: str) -> Iterator[tuple[str, int]]:
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        host, _, port = part.rpartition(":")
        yield host.strip("[]"), int(port) if port.isdecimal() else 0


class Settings(BaseModel):
    """The settings of one agent. Each field's alias is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    datacenter_id: Annotated[
        int,
        Field(alias="DATACENTER_ID", ge=1, description="the datacenter to run for: its id"),
    ]
    db_conn_string: Annotated[
        str,
        Field(alias="DB_CONN_STRING", description="PostgreSQL 17 or newer, as a libpq URI"),
        AfterValidator(_libpq),
    ]
    db_conn_string_file: Annotated[
        Path | None,
        Field(alias="DB_CONN_STRING_FILE", description="a file with what DB_CONN_STRING would be"),
    ] = None
    data_dir: Annotated[
        Path,
        Field(alias="UPTIMEO_DATA_DIR", description="where the spool is kept, one for each agent"),
    ]
    instance: Annotated[
        str,
        Field(alias="UPTIMEO_INSTANCE", min_length=1, max_length=50, description="this agent"),
    ]
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Field(alias="LOG_LEVEL", description="the least level that is logged"),
    ] = "INFO"
    log_heartbeats: Annotated[
        Literal["all", "changes", "none"],
        Field(alias="LOG_HEARTBEATS", description="which heartbeats leave a line"),
    ] = "all"
    offline: Annotated[
        Literal["continue", "strict"],
        Field(alias="UPTIMEO_OFFLINE", description="what the leader does without a database"),
    ] = "continue"
    max_checks: Annotated[
        int,
        Field(alias="UPTIMEO_MAX_CHECKS", ge=1, le=10_000, description="checks at one time"),
    ] = 500
    max_checks_per_host: Annotated[
        int,
        Field(
            alias="UPTIMEO_MAX_CHECKS_PER_HOST",
            ge=1,
            le=10_000,
            description="checks at one time of one host",
        ),
    ] = 100
    forbidden_networks: Annotated[
        str,
        Field(
            alias="UPTIMEO_FORBIDDEN_NETWORKS",
            description="`default`, `none`, or networks such as 10.0.0.0/8, separated by commas",
        ),
        AfterValidator(_networks),
    ] = "default"
    exec_file: Annotated[
        Path | None,
        Field(
            alias="UPTIMEO_EXEC_FILE",
            description="a TOML file with the commands that exec monitors may run; without: none",
        ),
    ] = None
    secrets_dir: Annotated[
        Path | None,
        Field(
            alias="UPTIMEO_SECRETS_DIR",
            description="below it are the files that rows may refer to; without: none",
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        Field(
            alias="UPTIMEO_KEY_FILE",
            description="the keys that open the secrets in the database; without: none can be",
        ),
    ] = None
    row_variables: Annotated[
        dict[str, str],
        Field(
            alias=f"{ENV_PREFIX}*", repr=False, description="the variables that rows may refer to"
        ),
    ] = {}
    config_poll_s: Annotated[
        float,
        Field(alias="UPTIMEO_CONFIG_POLL_S", ge=0.2, le=300, description="seconds, config reads"),
    ] = 30.0
    offline_limit_s: Annotated[
        float,
        Field(alias="UPTIMEO_OFFLINE_LIMIT_S", ge=0, description="seconds checks go on offline"),
    ] = 86_400.0
    spool_max_bytes: Annotated[
        int,
        Field(alias="UPTIMEO_SPOOL_MAX_BYTES", ge=1_000_000, description="bytes that may wait"),
    ] = 2_147_483_648
    reference_targets: Annotated[
        str,
        Field(
            alias=_REFERENCES,
            description="host:port, separated by commas, that answer while the network does",
        ),
        AfterValidator(_references),
    ] = ""
    lease_ttl_s: Annotated[
        float,
        Field(alias="UPTIMEO_LEASE_TTL_S", ge=3, le=60, description="seconds, length of a lease"),
    ] = 3.0

    peer_listen: Annotated[
        str,
        Field(
            alias="UPTIMEO_PEER_LISTEN",
            description="where other agents of the datacenter ask this one: auto, off, host:port",
        ),
        AfterValidator(_listen),
    ] = "auto"

    ops_listen: Annotated[
        str,
        Field(
            alias="UPTIMEO_OPS_LISTEN",
            description="where /healthz, /readyz and /metrics are answered: off, host:port",
        ),
        AfterValidator(_ops),
    ] = "off"
    probe_file: Annotated[
        Path | None,
        Field(
            alias="UPTIMEO_PROBE_FILE",
            description="a TOML file with what /probe may be asked for; without: there is none",
        ),
    ] = None
    calibrate_every_s: Annotated[
        float,
        Field(
            alias="UPTIMEO_CALIBRATE_EVERY_S",
            ge=0,
            le=86_400,
            description="seconds between two measurements of the agent's own error; 0: none",
        ),
    ] = 900.0

    def ops_address(self) -> tuple[str, int] | None:
        """Where to answer scrapers and orchestrators (TCP, port 0 is any); None: nowhere."""
        return None if self.ops_listen == "off" else next(_pairs(self.ops_listen))

    def peer_address(self, facing_database: str | None) -> tuple[str, int] | None:
        """Where to listen for other agents (UDP, port 0 is any); None: nowhere."""
        if self.peer_listen == "off":
            return None
        if self.peer_listen == "auto":
            return None if facing_database is None else (facing_database, 0)
        return next(_pairs(self.peer_listen))

    @property
    def spool_dir(self) -> Path:
        """Where heartbeats wait."""
        return self.data_dir / "spool"

    @property
    def database_variable(self) -> str:
        """The variable that says where the database is."""
        return _FILE if self.db_conn_string_file is not None else _STRING

    def values(self) -> ValueReader:
        """What resolves the references of rows."""
        private = (self.key_file, self.db_conn_string_file, self.exec_file)
        return ValueReader(
            environment=self.row_variables,
            directory=self.secrets_dir,
            key_file=self.key_file,
            private=tuple(path for path in private if path is not None),
        )

    def guard(self) -> AddressGuard:
        """Which addresses checks may connect to."""
        return AddressGuard.of(self.forbidden_networks)

    def references(self) -> tuple[tuple[str, int], ...]:
        """The reference targets as pairs of host and port."""
        return tuple(_pairs(self.reference_targets))


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the environment.

    Raises FatalError with one line that names the variable, its value and what is expected.
    Empty variables count as not set.
    """
    given: dict[str, Any] = {key: value for key, value in environment.items() if value.strip()}
    given.setdefault("UPTIMEO_INSTANCE", socket.gethostname()[:50] or "agent")
    given["UPTIMEO_DATA_DIR"] = default_data_dir(given)
    if (database := read_database(environment)) is not None:
        given[_STRING] = database[1]
    given[f"{ENV_PREFIX}*"] = _row_variables(environment)
    if "LOG_LEVEL" in given:
        given["LOG_LEVEL"] = given["LOG_LEVEL"].upper()
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise FatalError(_explain(error, given)) from error


def read_database(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that says where the database is, and the connection string; None if neither is.

    Raises FatalError if both are set, or the file cannot be read; the string is not checked.
    """
    text, file = (environment.get(name, "").strip() for name in (_STRING, _FILE))
    if text and file:
        raise FatalError(f"{_STRING} and {_FILE} are both set: unset one")
    if not file:
        return (_STRING, text) if text else None
    try:
        with Path(file).open("rb") as opened:
            found = opened.read(_LONGEST_STRING).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise FatalError(f"{_FILE}: {file!r} cannot be read: {why}") from error
    if not found:
        raise FatalError(f"{_FILE}: {file!r} is empty; expected: a libpq URI")
    return _FILE, found


def read_values(environment: Mapping[str, str]) -> ValueReader:
    """What resolves the references of rows for a person who checks by hand."""
    secrets_dir, key_file, *private = (
        _path(environment, name) for name in (DIRECTORY, KEY_FILE, _FILE, "UPTIMEO_EXEC_FILE")
    )
    return ValueReader(
        environment=_row_variables(environment),
        directory=secrets_dir,
        key_file=key_file,
        private=tuple(path for path in (key_file, *private) if path is not None),
    )


def read_key_file(environment: Mapping[str, str]) -> Path:
    """The file with the keys that seal secrets; FatalError if it is not set."""
    if (path := _path(environment, KEY_FILE)) is None:
        raise FatalError(f"{KEY_FILE} is not set; expected: the file with the keys of secrets")
    return path


def read_guard(environment: Mapping[str, str], otherwise: str = "none") -> AddressGuard:
    """Which addresses a person may check by hand: all, or `otherwise`, unless the variable is set.

    Raises FatalError as `read_settings` does.
    """
    text = environment.get(SETTING, "").strip()
    try:
        return AddressGuard.of(text or otherwise)
    except ValueError as error:
        raise FatalError(f"{SETTING}: {text!r} is wrong: {error}") from error


def read_references(environment: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """The reference targets of a check by hand, as pairs of host and port; none if not set.

    Raises FatalError as `read_settings` does.
    """
    text = environment.get(_REFERENCES, "").strip()
    try:
        return tuple(_pairs(_references(text)))
    except ValueError as error:
        raise FatalError(f"{_REFERENCES}: {text!r} is wrong: it {error}") from error


def read_exec_file(environment: Mapping[str, str]) -> Path | None:
    """The file with the commands that a person may check by hand; None if it is not set."""
    return _path(environment, "UPTIMEO_EXEC_FILE")


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "").strip()
    return Path(text) if text else None


def _row_variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key.startswith(ENV_PREFIX)}


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """`UPTIMEO_DATA_DIR`, else where the system keeps such data for this user.

    Raises FatalError when that is below a home directory that does not exist.
    """
    try:
        return _data_dir(environment)
    except RuntimeError as error:
        given = environment.get("UPTIMEO_DATA_DIR", "")
        raise FatalError(
            f"UPTIMEO_DATA_DIR: {given!r} needs a home directory, and there is none;"
            " expected: an absolute path"
        ) from error


def _data_dir(environment: Mapping[str, str]) -> Path:
    if given := environment.get("UPTIMEO_DATA_DIR"):
        return Path(given).expanduser().absolute()
    if environment.get("STATE_DIRECTORY"):  # systemd's StateDirectory=
        return Path(environment["STATE_DIRECTORY"].split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/uptimeo")
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "uptimeo"


def _explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    variable = str(first["loc"][0])
    expected = next(f.description for f in Settings.model_fields.values() if f.alias == variable)
    if first["type"] == "missing":
        return f"{variable} is not set; expected: {expected}"
    text = first["msg"].removeprefix("Value error, ")
    if variable == _STRING and (file := given.get(_FILE)):
        # Whatever else is in that file may be secret as a whole.
        return f"{_FILE}: what is in {file!r} is wrong: {text}; expected: {expected}"
    shown = repr(masked(str(given.get(variable))))
    return f"{variable}: {shown} is wrong: {text[:1].lower()}{text[1:]}; expected: {expected}"

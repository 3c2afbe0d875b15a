"""Rows of the matrix: databases, a directory and a chat server, asked for TLS; PostgreSQL asked."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.evidence.matrix_rows import AUTHORITY, TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, find, me
from uptimeo.domain.result import ErrorType
from uptimeo.storage.local import LocalServer

_WITHOUT_TLS = "127.0.77.2"  # loopback, where no other PostgreSQL listens
_PASSWORD = "hunter2"
# What comes of it if a server is spoken to in a language that it does not know: it says nothing.
_OF_STRANGERS = {
    "postgres": ErrorType.FIRST_BYTE_TIMEOUT,
    "mysql": ErrorType.UNEXPECTED,
    "ldap": ErrorType.FIRST_BYTE_TIMEOUT,
    "xmpp": ErrorType.FIRST_BYTE_TIMEOUT,
}


def _secured(protocol: str, *more: Expected) -> tuple[Expected, ...]:
    """The port has the name of the protocol."""
    url = f"tls://localhost:{{{protocol}}}"
    return (
        Expected(
            says="its certificate",
            url=url,
            options={**TRUSTING, "starttls": protocol, "min_days": 30},
        ),
        Expected(
            says="a certificate that is not trusted",
            url=url,
            options={"starttls": protocol},
            error=ErrorType.TLS_UNTRUSTED,
        ),
        Expected(
            says="STARTTLS in the words of another protocol",
            url=url,
            options={"starttls": "pop3" if protocol == "mysql" else "mysql"},
            error=_OF_STRANGERS[protocol],
        ),
        *more,
    )


def _refused(protocol: str, address: str) -> Expected:
    return Expected(
        says="a server without TLS refuses it",
        url=f"tcp://{address}",
        options={"starttls": protocol},
        error=ErrorType.STARTTLS,
    )


@contextmanager
def _postgres(program: str, place: Place) -> Iterator[None]:
    """The distribution's with TLS, and beside it that of the wheel, which cannot speak any."""
    user = "postgres" if os.geteuid() == 0 else None
    data, key = place.folder("data"), place.key()
    for path in (data, key):
        if user is not None:
            shutil.chown(path, user)
    data.chmod(0o700)
    key.chmod(0o600)
    word = place.write("password", _PASSWORD)
    rules = ["--no-sync", "--username=ann", "--auth=scram-sha-256", f"--pwfile={word}"]
    place.run([f"{Path(program).parent}/initdb", "-D", str(data), *rules], user=user)
    wheel = LocalServer(place.folder("wheel"), (f"listen_addresses={_WITHOUT_TLS}",))
    options = (
        f"listen_addresses={HOST}",
        f"port={place.port('postgres')}",
        "unix_socket_directories=",
        "ssl=on",
        f"ssl_cert_file={place.chain()}",
        f"ssl_key_file={key}",
    )
    command = [program, "-D", str(data), *(word for each in options for word in ("-c", each))]
    wheel.start()
    try:
        with place.running(command, "postgres", user=user):
            yield
    finally:
        wheel.stop()


@contextmanager
def _mariadb(program: str, place: Place) -> Iterator[None]:
    data = place.folder("data")
    command = [
        program,
        "--no-defaults",
        "--skip-grant-tables",  # and so without any table of its own
        f"--datadir={data}",
        f"--user={me()}",
        f"--bind-address={HOST}",
        f"--port={place.port('mysql')}",
        f"--socket={data}/socket",
        f"--pid-file={data}/pid",
    ]
    secure = [f"--ssl-cert={place.chain()}", f"--ssl-key={place.key()}"]
    with place.running([*command, *secure], "mysql"):
        yield


@contextmanager
def _slapd(program: str, place: Place) -> Iterator[None]:
    config = place.write(
        "slapd.conf",
        f"""
include /etc/ldap/schema/core.schema
pidfile {place.directory}/slapd.pid
TLSCertificateFile {place.chain()}
TLSCertificateKeyFile {place.key()}
TLSCACertificateFile {place.chain()}
""",
    )
    url = f"ldap://{HOST}:{place.port('ldap')}"
    plain = place.write(
        "plain.conf", f"include /etc/ldap/schema/core.schema\npidfile {place.directory}/p.pid\n"
    )
    other = f"ldap://{HOST}:{place.port('plain')}"
    with (
        place.running([program, "-d", "0", "-f", str(config), "-h", url], "ldap"),
        place.running([program, "-d", "0", "-f", str(plain), "-h", other], "plain"),
    ):
        yield


@contextmanager
def _prosody(program: str, place: Place) -> Iterator[None]:
    config = place.write(
        "prosody.cfg.lua",
        f"""
run_as_root = {"true" if os.geteuid() == 0 else "false"}
pidfile = "{place.directory}/prosody.pid"
data_path = "{place.folder("data")}"
log = {{ info = "*console" }}
modules_enabled = {{ "tls"; "saslauth"; }}
modules_disabled = {{ "s2s"; "posix"; }}
interfaces = {{ "{HOST}" }}
c2s_ports = {{ {place.port("xmpp")} }}
s2s_ports = {{ }}
c2s_require_encryption = true
VirtualHost "localhost"
    ssl = {{ key = "{place.key()}"; certificate = "{place.chain()}"; }}
""",
    )
    with place.running([program, "--config", str(config), "-F"], "xmpp"):
        yield


def _queried(says: str, error: ErrorType | None = None, **given: Any) -> Expected:
    """A query over TLS by the user, the password and the database given, or the right ones."""
    user, password = given.pop("user", "ann"), given.pop("password", _PASSWORD)
    database = given.pop("database", "postgres")
    url = f"postgresql://{user}:{password}@localhost:{{postgres}}/{database}"
    return Expected(says=says, url=url, options={"ca_pem": AUTHORITY, **given}, error=error)


_QUERIES = (
    _queried("a query", query="SELECT count(*) FROM pg_database", min=3),
    _queried("another value than expected", ErrorType.ASSERTION, query="SELECT 1", equals=2),
    _queried("a value that matches", query="SHOW server_version", matches=r"^\d+"),
    _queried("no rows, which is expected", query="SELECT 1 WHERE false", max_rows=0),
    _queried("fewer rows than expected", ErrorType.ASSERTION, query="SELECT 1", min_rows=2),
    _queried("a mistake in the query", ErrorType.QUERY, query="SELEKT 1"),
    _queried("a query that would write", ErrorType.QUERY, query="CREATE TABLE a (b int)"),
    _queried("a query that takes too long", ErrorType.TIMEOUT, query="SELECT pg_sleep(9)"),
    _queried("another password", ErrorType.AUTHENTICATION, password="wrong"),
    _queried("a user that is not there", ErrorType.AUTHENTICATION, user="bob"),
    _queried("a database that is not there", ErrorType.UNEXPECTED, database="nothing"),
    Expected(
        says="a certificate that is not trusted",
        url=f"postgresql://ann:{_PASSWORD}@localhost:{{postgres}}/postgres?sslmode=verify-full",
        error=ErrorType.TLS_UNTRUSTED,
    ),
    Expected(
        says="without TLS",
        url=f"postgresql://ann:{_PASSWORD}@localhost:{{postgres}}/postgres?sslmode=disable",
    ),
    Expected(
        says="TLS of a server that has none",
        url=f"postgresql://ann@{_WITHOUT_TLS}/postgres?sslmode=require",
        error=ErrorType.TLS,
    ),
)


def _newest_postgres() -> str | None:
    """Debian does not put it where programs are looked for."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return str(found[-1]) if found else find("postgres")


PROGRAMS = (
    Program(
        name="PostgreSQL",
        package="postgresql",
        find=_newest_postgres,
        start=_postgres,
        checks=_secured("postgres", _refused("postgres", f"{_WITHOUT_TLS}:5432"), *_QUERIES),
    ),
    Program(
        name="MariaDB",
        package="mariadb-server-core",
        find=partial(find, "mariadbd"),
        start=_mariadb,
        checks=_secured("mysql"),
    ),
    Program(
        name="OpenLDAP",
        package="slapd",
        find=partial(find, "slapd"),
        start=_slapd,
        checks=_secured("ldap", _refused("ldap", "localhost:{plain}")),
    ),
    Program(
        name="Prosody",
        package="prosody lua-sec",
        find=partial(find, "prosody"),
        start=_prosody,
        checks=_secured("xmpp"),
    ),
)

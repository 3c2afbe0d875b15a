"""Can the database be reached as it should be, and is it the right one? Pure."""

from collections.abc import Iterator
from ipaddress import ip_address

from uptimeo.doctor.facts import DatabaseFacts, Facts, Setup, Trouble, Unreached
from uptimeo.doctor.judging.words import Subject
from uptimeo.domain.finding import Finding
from uptimeo.storage.database import MIN_SERVER_VERSION, shown
from uptimeo.storage.schema import HEAD
from uptimeo.storage.server import ClockReading, Link, RoleFound, SchemaFound

_MAX_OFFSET_S = 1.0
_REACHING = {
    Trouble.UNNAMED: "in production DB_CONN_STRING=postgresql://USER@HOST/uptimeo or its file",
    Trouble.UNREADABLE: "correct it; expected: a libpq URI such as postgresql://USER@HOST/uptimeo",
    Trouble.NAME: "correct the host in the connection string, or this host's resolver",
    Trouble.REFUSED: (
        "start PostgreSQL, or correct host and port; listen_addresses and pg_hba.conf say who"
        " may connect. Checks go on meanwhile; if it is lost:"
        " docs/operations.md#losing-the-database"
    ),
    Trouble.SILENT: (
        "the server hangs, or a firewall drops packets: look at the server, then at the way to it."
        " Checks go on meanwhile; if it is lost: docs/operations.md#losing-the-database"
    ),
    Trouble.LOGIN: (
        "correct user, password, database or sslmode in the connection string, or let them in:"
        " pg_hba.conf, docs/roles.md"
    ),
    Trouble.CERTIFICATE: (
        "name the file of the authority that signed it, sslrootcert=FILE in the connection string;"
        " and with sslmode=verify-full the host as the certificate names it"
    ),
    Trouble.FULL: "raise max_connections, or end sessions that idle: see pg_stat_activity",
    Trouble.STANDBY: "name the primary in the connection string; this server takes no writes",
    Trouble.OTHER: "see what the server's log says",
}


def findings(facts: Facts) -> Iterator[Finding]:
    """All that is about the way to the database, and whether it is ours."""
    yield from _settings(facts.setup)
    link = facts.database.link
    yield _reached(facts.database, facts.setup)
    if isinstance(link, Unreached):
        return
    yield _version(link)
    yield _tls(link)
    yield from Subject("schema").judged(facts.database.schema, _schema)
    yield from Subject("clock").judged(facts.database.clock, _clock)
    yield from Subject("notifications").judged(facts.database.notices, _notices)
    yield from Subject("role").judged(facts.database.role, lambda f: _role(f, facts.setup))


def _settings(setup: Setup) -> Iterator[Finding]:
    subject = Subject("settings")
    if setup.complaint:
        yield subject.critical(setup.complaint, "an agent with these settings does not start")
    elif setup.settings is None:
        yield subject.ok(
            "DATACENTER_ID is not set: this host is not examined",
            "on the host of an agent, run this with the environment of the agent",
        )
    else:
        name, place = setup.settings.instance, setup.settings.datacenter_id
        yield subject.ok(f"agent {name} of datacenter {place}")


def _reached(found: DatabaseFacts, setup: Setup) -> Finding:
    link = found.link
    where = "" if setup.conninfo is None else shown(setup.conninfo)
    subject = Subject("database")
    if isinstance(link, Unreached):
        text = link.text.removeprefix(f"{where}: ")
        return subject.critical(text, _REACHING[link.trouble])
    if found.stopped:
        return subject.critical(found.stopped, _REACHING[Trouble.SILENT])
    return subject.ok(f"{where} answers")


def _version(link: Link) -> Finding:
    subject = Subject("server-version")
    if link.version_number < MIN_SERVER_VERSION:
        return subject.critical(f"PostgreSQL {link.version}", "upgrade it to 17 or newer")
    return subject.ok(f"PostgreSQL {link.version}")


def _tls(link: Link) -> Finding:
    subject = Subject("tls")
    if link.encrypted:
        if link.sslmode in ("verify-full", "verify-ca"):
            return subject.ok(f"{link.tls or 'in use'}; the server's certificate is verified")
        return subject.ok(
            f"{link.tls or 'in use'}; the server's certificate is not verified"
            f" (sslmode={link.sslmode})",
            "sslmode=verify-full and sslrootcert keep others from posing as the server",
        )
    if is_near(link.host):
        return subject.ok("none, and none is needed: the server is on this host")
    return subject.warning(
        f"none: heartbeats and settings cross the network to {link.host} in clear text",
        "switch ssl on in the server, and add sslmode=verify-full to the connection string",
    )


def is_near(host: str | None) -> bool:
    """Whether no network lies between: a socket, or an address of loopback."""
    if host is None or host[:1] in ("", "/", "@"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _schema(found: SchemaFound) -> Iterator[Finding]:
    subject = Subject("schema")
    if found.revision is None:
        yield subject.critical("the database has no UptimeO schema", "run `uptimeo migrate`")
    elif found.revision < HEAD:
        yield subject.critical(
            f"revision {found.revision}, this release works with {HEAD}", "run `uptimeo migrate`"
        )
    elif found.revision > HEAD:
        yield subject.critical(
            f"revision {found.revision}, this release works with {HEAD}",
            "use a newer release of UptimeO on this host",
        )
    elif found.digest != found.expected_digest:
        yield subject.critical(
            f"revision {HEAD} with the functions and views of another release",
            "run `uptimeo migrate` with the release that the agents run",
        )
    else:
        yield subject.ok(f"revision {HEAD}, with the functions and views of this release")


def _clock(found: ClockReading) -> Iterator[Finding]:
    subject = Subject("clock")
    side = "behind" if found.offset_s > 0 else "ahead of"
    value = (
        f"this host is {abs(found.offset_s) * 1000:.0f} ms {side} the database,"
        f" give or take {found.uncertain_s * 1000:.1f} ms"
    )
    if abs(found.offset_s) - found.uncertain_s < _MAX_OFFSET_S:
        yield subject.ok(value)
    else:
        yield subject.warning(
            value,
            "run NTP on both; agents go by the database's clock: docs/operations.md#clock",
        )


def _notices(arrive: bool) -> Iterator[Finding]:  # noqa: FBT001 - the fact itself
    subject = Subject("notifications")
    if arrive:
        yield subject.ok("arrive")
    else:
        yield subject.warning(
            "do not arrive: a pooler swallows them, and changes are found by polling",
            "connect directly, or through a pool in session mode",
        )


def _role(found: RoleFound, setup: Setup) -> Iterator[Finding]:
    subject = Subject("role")
    settings = setup.settings
    mighty = "a superuser" if found.superuser else "the owner of the tables" if found.owner else ""
    if mighty:
        value = f"{found.name} is {mighty}"
        if setup.local or settings is None:
            yield subject.ok(value)
        else:
            yield subject.warning(
                f"{value}: whoever has this host has every datacenter",
                "let agents log in under roles of their own: `uptimeo db roles`, docs/roles.md",
            )
    elif found.datacenter is None and found.agent:
        yield subject.critical(
            f"{found.name} is an agent's role without a datacenter, and may act for none",
            "run `uptimeo db roles` as the owner of the tables",
        )
    elif found.datacenter is None:
        yield _person(found, subject, setup)
    elif settings is not None and settings.datacenter_id != found.datacenter:
        yield subject.critical(
            f"{found.name} may act for datacenter {found.datacenter},"
            f" and DATACENTER_ID is {settings.datacenter_id}",
            "correct DATACENTER_ID, or log in under the role of that datacenter",
        )
    else:
        yield subject.ok(f"{found.name} may act for datacenter {found.datacenter} alone")


def _person(found: RoleFound, subject: Subject, setup: Setup) -> Finding:
    if setup.settings is None:
        return subject.ok(f"{found.name} is no agent's role")
    return subject.ok(f"{found.name} is no agent's role: an agent could not run under it")

"""Is what `docs/monitors.md` says true: of every option, and of every example?"""

import asyncio
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.docs import error_classes, monitors
from tests.docs.reachable import of_type
from tests.docs.stand_ins import Loopback, allow_list, stand_ins, trust
from tests.support.certificates import Authority
from tests.support.commands import said
from uptimeo.catalog.rows import to_monitor
from uptimeo.cli.monitor import monitor
from uptimeo.domain.result import OUR_FAULTS, ErrorType
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Shared
from uptimeo.storage.database import Pool, connect
from uptimeo.storage.monitor_edits import all_monitors
from uptimeo.storage.monitors import MonitorRow
from uptimeo.storage.signals import SignalStore

PAGE = monitors.PAGE.read_text("utf-8")
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
SH = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
WORDS = monitors.error_words(
    "".join((monitors.PAGES / f"{name}.md").read_text("utf-8") for name in monitors.ORDER)
)
# The token is made anew by each command.
_TOKEN = "token_sha256"


def by_sql(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in SQL:
            connection.execute(statement.encode())


def by_command(dsn: str) -> None:
    for line in SH:
        program, group, *arguments = shlex.split(line.replace("\\\n", " "))
        assert (program, group) == ("uptimeo", "monitor")
        said(monitor, *arguments, dsn=dsn)


async def rows(dsn: str) -> list[MonitorRow]:
    async with await connect(dsn) as connection:
        return [row for row, _ in await all_monitors(connection)]


def comparable(row: MonitorRow) -> MonitorRow:
    options = {key: value for key, value in row.options.items() if key != _TOKEN}
    return replace(row, id=0, options=options)


def test_the_page_is_what_the_code_says() -> None:
    assert monitors.page() == PAGE, "python -m tests.docs.monitors"


def test_every_type_and_every_error_class_has_its_place() -> None:
    table = PAGE[: PAGE.index("## A monitor's row")]
    assert set(re.findall(r"`(\w+)`", table)) >= set(ProbeRegistry.installed().names())
    meanings = [group.meanings for group in error_classes.GROUPS.values()]
    assert sum(map(len, meanings)) == len(ErrorType)
    assert error_classes.AGENT.meanings.keys() == OUR_FAULTS


@pytest.mark.parametrize("name", WORDS)
def test_the_error_classes_of_a_type_are_those_of_its_code(name: str) -> None:
    probe = ProbeRegistry.installed().get(name)
    assert probe is not None
    found = of_type(type(probe))
    said_of_it = error_classes.members(WORDS[name]) - error_classes.AGENT.meanings.keys()

    assert found.own - OUR_FAULTS <= said_of_it
    assert said_of_it <= found.reachable


def test_every_column_of_a_row_is_explained(conninfo: str) -> None:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'api_monitors'"
    with psycopg.connect(conninfo) as connection:
        names = {name for (name,) in connection.execute(query)}

    table = PAGE[PAGE.index("| column of `api_monitors`") : PAGE.index("## On the command line")]
    explained = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    )
    assert explained - {"api_monitors"} == names


def test_every_link_within_the_page_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors


def test_a_row_by_sql_is_the_one_by_the_command(conninfo: str) -> None:
    by_sql(conninfo)
    by_command(conninfo)

    found = [comparable(row) for row in asyncio.run(rows(conninfo))]
    by_statements, by_commands = found[: len(SQL) - 1], found[len(SQL) - 1 :]
    assert by_commands == by_statements


async def test_every_example_checks_as_it_says(
    conninfo: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.new()
    monkeypatch.setenv("SSL_CERT_FILE", str(trust(authority, tmp_path)))
    by_sql(conninfo)
    commands = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    shared = Shared(
        resolver=Loopback(),
        signals=SignalStore(pool),
        exec_file=allow_list(commands, tmp_path),
    )
    failures = {}
    registry = ProbeRegistry.installed()
    async with stand_ins(authority) as instead:
        for row in await rows(conninfo):
            made = to_monitor(replace(row, url=there(row.url, instead)), registry)
            assert isinstance(made.options, ProbeOptions)
            probe = registry.get(made.type)
            assert probe is not None
            result = await probe.probe(made.options, shared.context(5000))
            failures[row.name] = result.failure
    await registry.aclose()

    ping = failures.pop("gateway")
    assert ping is None or ping.type is ErrorType.PERMISSION
    assert {name: failure for name, failure in failures.items() if failure} == {}


def there(url: str, instead: Mapping[str, str]) -> str:
    """Where the stand-in listens, if there is one."""
    for start, other in instead.items():
        if url.startswith(start):
            return url.replace(start, other, 1)
    return url

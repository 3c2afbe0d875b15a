"""`uptimeo doctor`: what is wrong with this installation, and what to do about it?"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import click
from rich.console import Console

from uptimeo.cli.database import find_database
from uptimeo.cli.doctor_report import doctor_report
from uptimeo.doctor import Setup, Trouble, examine
from uptimeo.domain.errors import FatalError
from uptimeo.domain.finding import Condition, Finding, worst
from uptimeo.settings import Settings, read_database, read_settings
from uptimeo.storage.database import shown

_EXIT_CODES = {Condition.OK: 0, Condition.WARNING: 1, Condition.CRITICAL: 2}
# As `uptimeo up` runs.
_OF_UP = {"DATACENTER_ID": "1", "UPTIMEO_FORBIDDEN_NETWORKS": "none"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def doctor(*, as_json: bool) -> None:
    """Examine this host and the installation, and say what to do. Changes nothing.

    It takes the settings of `uptimeo agent`. Run it on the host of an agent, as its user and with
    its environment; without DATACENTER_ID only the installation is examined. It takes at most some
    15 seconds, also while the database hangs. docs/doctor.md has all that is examined.

    Exit code 0 if all is well, 1 with warnings, 2 if something is critical, as a monitoring plugin.
    What the role may not see is unknown, and counts for nothing.
    """
    setup = _setup(os.environ)
    where = "no database" if setup.conninfo is None else shown(setup.conninfo)
    waiting = Console(stderr=True)
    # Off a terminal, it would still print an empty line.
    telling: AbstractContextManager[object] = nullcontext()
    if waiting.is_terminal:
        telling = waiting.status(f"Examining {where} ...")
    with telling:
        findings = asyncio.run(examine(setup))
    if as_json:
        click.echo(json.dumps(_document(where, findings), indent=2))
    else:
        Console().print(doctor_report(where, findings))
    click.get_current_context().exit(_EXIT_CODES[worst(findings)])


def _setup(environment: Mapping[str, str]) -> Setup:
    conninfo, local, trouble, unnamed = None, False, Trouble.UNREADABLE, ""
    try:
        if read_database(environment) is None:
            trouble = Trouble.UNNAMED
        conninfo, local = find_database()
    except FatalError as error:
        unnamed = str(error)
    settings, complaint = _settings(environment, conninfo if local else None)
    return Setup(
        conninfo=conninfo,
        trouble=trouble,
        unnamed=unnamed,
        local=local,
        settings=settings,
        complaint=complaint,
    )


def _settings(environment: Mapping[str, str], local: str | None) -> tuple[Settings | None, str]:
    """Those of an agent of this host, or what is wrong with them; neither without a datacenter."""
    given = dict(environment)
    if local is not None:
        given = {**_OF_UP, **given, "DB_CONN_STRING": local}
    if not given.get("DATACENTER_ID", "").strip():
        return None, ""
    try:
        return read_settings(given), ""
    except FatalError as error:
        return None, str(error)


def _document(where: str, findings: list[Finding]) -> dict[str, object]:
    counted = Counter(finding.condition for finding in findings)
    return {
        "database": where,
        "condition": worst(findings),
        "counts": {each.value: counted[each] for each in Condition},
        "findings": [asdict(finding) for finding in findings],
    }

"""How is one check run from the command line, now and without a database?"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click
from pydantic import ValidationError
from rich.console import Console

from uptimeo.cli.options import GivenOption, read_options, validated
from uptimeo.cli.request import read_body, read_headers
from uptimeo.cli.waterfall import Waterfall, result_as_json
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import ProbeResult
from uptimeo.domain.text import one_line
from uptimeo.domain.verdict import Status, judge
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.settings import read_exec_file, read_guard

_LONGEST_TIMEOUT_S = 3600
_EXIT_CODES = {
    Status.UP: 0,
    Status.DEGRADED: 0,
    Status.CRITICAL: 1,
    Status.DOWN: 1,
    Status.UNKNOWN: 2,
}
_OPTION_OF_FIELD = {
    "url": "URL",
    "method": "--method",
    "headers": "--header",
    "body": "--data",
    "expected_status": "--expect-status",
    "follow_redirects": "--no-redirects",
    "verify_tls": "--insecure",
    "ca_pem": "--ca-file",
}


class _Given(TypedDict):
    """The command's options after their callbacks, by parameter name."""

    method: str | None
    headers: dict[str, str] | None
    body: Any
    timeout_ms: int
    expected_status: str | None
    no_redirects: bool
    insecure: bool
    ca_pem: str | None
    warning_ms: int | None
    critical_ms: int | None
    options: tuple[GivenOption, ...]
    as_json: bool


def _read_timeout(_context: click.Context, _option: click.Parameter, seconds: float) -> int:
    if not 0 < seconds <= _LONGEST_TIMEOUT_S:  # written so that NaN is refused too
        raise click.BadParameter(f"{seconds:g} is not above 0 and at most {_LONGEST_TIMEOUT_S} s")
    return max(1, round(seconds * 1000))


def _read_ca_file(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> str | None:
    if path is None:
        return None
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise click.BadParameter(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"'{path}' is not a text file") from error
    if "-----BEGIN" not in text:
        raise click.BadParameter(f"'{path}' holds no certificate in PEM form (-----BEGIN ...)")
    return text


@click.command("check")
@click.argument("url")
@click.option("-X", "--method", help="Request method.  [default: GET; POST with --data]")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar='"NAME: VALUE"',
    callback=read_headers,
    help="Request header; may be given several times.",
)
@click.option(
    "-d",
    "--data",
    "body",
    metavar="TEXT",
    callback=read_body,
    help="Request body. A JSON object or array is sent as application/json.",
)
@click.option(
    "--timeout",
    "timeout_ms",
    type=float,
    default=10,
    show_default=True,
    metavar="SECONDS",
    callback=_read_timeout,
    help="Budget for the whole check, redirects included.",
)
@click.option(
    "--expect-status",
    "expected_status",
    metavar="CODES",
    help='Statuses that count as up, such as "200,301-304".  [default: 200-299]',
)
@click.option("--no-redirects", is_flag=True, help="Judge a redirect itself, do not follow it.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
@click.option(
    "--ca-file",
    "ca_pem",
    type=click.Path(path_type=Path),
    callback=_read_ca_file,
    help="Trust the certificate authorities in this PEM file, and no others.",
)
@click.option(
    "--warning",
    "warning_ms",
    type=click.IntRange(min=1),
    metavar="MS",
    help="Degraded if the total is above this many milliseconds.",
)
@click.option(
    "--critical",
    "critical_ms",
    type=click.IntRange(min=1),
    metavar="MS",
    help="Critical if the total is above this many milliseconds.",
)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=read_options,
    help="Any other option of the probe type: JSON, a text, or @FILE. See `uptimeo probe-types`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_context
def check(context: click.Context, url: str, **given: Unpack[_Given]) -> None:
    """Check URL once, now, and show where the time went.

    Needs no database and stores nothing. Each phase of the last request is a line: name lookup
    (dns), TCP connection (connect), TLS handshake (tls), sending the request (send), waiting
    for the first byte (wait), reading the answer (transfer). Earlier hops are "redirect".

    \b
    Exit status:
      0  up or degraded
      1  critical or down
      2  the check could not be run, or the command line is wrong

    \b
    Examples:
      uptimeo check https://example.com/health
      uptimeo check https://example.com --warning 300 --critical 1000
      uptimeo check https://example.com/login -d '{}' --expect-status 401
      uptimeo check https://example.com/api -H "Authorization: Bearer $TOKEN"
      uptimeo check https://10.0.0.7:8443/ --ca-file internal-ca.pem
      uptimeo check https://example.com -o http_version=2 -o tls.min_version=1.3
      uptimeo check https://example.com -o \\
        assertions='[{"kind": "json", "path": "$.status", "equals": "ok"}]'
      uptimeo check https://example.com --json | jq .phases.wait_ms
    """
    _refuse_contradictions(given)
    options, result = asyncio.run(_probe_once(url, given))
    thresholds = Thresholds(warning_ms=given["warning_ms"], critical_ms=given["critical_ms"])
    status = judge(result, thresholds)
    if given["as_json"]:
        click.echo(json.dumps(result_as_json(result, status, options.target), indent=2))
    else:
        shown = Waterfall(
            target=options.target, result=result, status=status, thresholds=thresholds
        )
        Console(highlight=False).print(shown)
    context.exit(_EXIT_CODES[status])


def _refuse_contradictions(given: _Given) -> None:
    if given["insecure"] and given["ca_pem"] is not None:
        raise click.UsageError("--insecure accepts any certificate: leave out it or --ca-file")
    warning, critical = given["warning_ms"], given["critical_ms"]
    if warning is not None and critical is not None and warning > critical:
        raise click.UsageError(f"--warning {warning} must not be above --critical {critical}")


async def _probe_once(url: str, given: _Given) -> tuple[ProbeOptions, ProbeResult]:
    registry = ProbeRegistry.installed()
    try:
        probe = _probe_for(url, registry)
        options = _options_for(probe, url, given)
        context = ProbeContext(
            timeout_ms=given["timeout_ms"],
            guard=read_guard(os.environ),
            exec_file=read_exec_file(os.environ),
        )
        return options, await probe.probe(options, context)
    finally:
        await registry.aclose()


def _probe_for(url: str, registry: ProbeRegistry) -> Probe[Any]:
    scheme, found, _ = url.partition("://")
    if not found:
        shown = _without_credentials(url)
        raise click.UsageError(f"URL '{shown}' has no scheme: write https://{shown} or http://...")
    probe = registry.get(scheme)
    if probe is None:
        known = ", ".join(f"{name}://" for name in registry.names())
        raise click.UsageError(
            f"URL '{_without_credentials(url)}' cannot be checked: the known schemes are {known}"
        )
    return probe


def _options_for(probe: Probe[Any], url: str, given: _Given) -> ProbeOptions:
    """Only what was given is passed on: the defaults, and the fields, are the probe's."""
    wanted: dict[str, Any] = {
        "url": url,
        "method": given["method"],
        "headers": given["headers"],
        "body": given["body"],
        "expected_status": given["expected_status"],
        "follow_redirects": False if given["no_redirects"] else None,
        "verify_tls": False if given["insecure"] else None,
        "ca_pem": given["ca_pem"],
    }
    takes_method = "method" in probe.options.model_fields
    if takes_method and given["method"] is None and given["body"] is not None:
        wanted["method"] = "POST"
    present = {field: value for field, value in wanted.items() if value is not None}
    try:
        return validated(probe.options, present, given["options"])[0]
    except ValidationError as error:
        raise click.UsageError(_complaint(error, present)) from error


def _complaint(error: ValidationError, present: dict[str, Any]) -> str:
    """The first fault as one line: the option, its value unless that may be secret, and why."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = str(fault["loc"][0]) if fault["loc"] else ""
    option = _OPTION_OF_FIELD.get(field, field)
    if field and field not in present:
        option = f"--option {'.'.join(str(part) for part in fault['loc'])}"
    if fault["type"] == "extra_forbidden":
        scheme = present["url"].partition("://")[0]
        return f"{option} means nothing to a check of {scheme}://"
    why = one_line(fault["msg"].removeprefix("Value error, "), 200)
    if field in present and field in ("url", "method", "expected_status"):
        option = f"{option} '{_without_credentials(str(present[field]))}'"
    return f"{option}: {why}" if option else why


def _without_credentials(url: str) -> str:
    """A URL for a message, even one that cannot be parsed."""
    scheme, found, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return one_line(f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}", 80)

"""How is one check run from the command line, now and without a database?"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click
from click.core import ParameterSource
from pydantic import ValidationError
from rich.console import Console

from uptimeo.cli.checking import check_row, check_url
from uptimeo.cli.options import GivenOption, complaint, read_options, validated, without_credentials
from uptimeo.cli.request import read_body, read_headers
from uptimeo.cli.resolving import resolved_here
from uptimeo.cli.waterfall import Waterfall, beat_as_json
from uptimeo.domain.monitor import Monitor, MonitorId, Thresholds
from uptimeo.domain.redaction import Redactor
from uptimeo.domain.verdict import Status
from uptimeo.probes.base import Probe, ProbeOptions
from uptimeo.probes.registry import ProbeRegistry

_LONGEST_TIMEOUT_S = 3600
_DAY_S = 86_400
_EXIT_CODES = {
    Status.UP: 0,
    Status.DEGRADED: 0,
    Status.CRITICAL: 1,
    Status.DOWN: 1,
    Status.UNKNOWN: 2,
}


class _Given(TypedDict):
    """The command's options after their callbacks, by parameter name."""

    from_monitor: int | None
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
    retries: int
    retry_delay_ms: int
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
@click.argument("url", required=False)
@click.option(
    "--from-monitor",
    type=int,
    metavar="ID",
    help="Instead of URL: exactly what the row of that monitor says, with the agent's rules.",
)
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
    "--retries",
    type=click.IntRange(0, 10),
    default=0,
    metavar="N",
    help="Try again if the target fails.",
)
@click.option(
    "--retry-delay",
    "retry_delay_ms",
    type=click.IntRange(0, 3_600_000),
    default=0,
    metavar="MS",
    help="From a failed try to the next.",
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
def check(context: click.Context, url: str | None, **given: Unpack[_Given]) -> None:
    """Check URL once, now, and show where the time went.

    Stores nothing, and needs a database for --from-monitor only. A line is a phase: name lookup
    (dns), TCP connection (connect), TLS handshake (tls), sending (send), waiting for the first
    byte (wait), reading the answer (transfer), and what is particular to the type. The phases are
    those of the last request; the ones before it, for redirects, are "redirect". With
    UPTIMEO_REFERENCE_TARGETS, a failure while none of these answers is unknown, as for an agent.

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
      uptimeo check https://example.com -H "X-Key: {{env:UPTIMEO_SECRET_T}}"
      uptimeo check https://10.0.0.7:8443/ --ca-file internal-ca.pem
      uptimeo check https://example.com -o http_version=2 -o tls.min_version=1.3
      uptimeo check https://example.com -o \\
        assertions='[{"kind": "json", "path": "$.status", "equals": "ok"}]'
      uptimeo check https://example.com --json | jq .phases.wait_ms
      uptimeo check ping://10.0.0.7 -o count=10
      uptimeo check smtp://mail.example.com:587 -o security=starttls
      uptimeo check --from-monitor 3
    """
    if given["from_monitor"] is not None:
        _refuse_the_rest(context)
        beat = asyncio.run(check_row(given["from_monitor"]))
    elif url is not None:
        _refuse_contradictions(given)
        beat = asyncio.run(check_url(lambda registry: _monitor(url, given, registry)))
    else:
        raise click.UsageError("what is to be checked: URL, or --from-monitor ID?")
    if given["as_json"]:
        click.echo(json.dumps(beat_as_json(beat), indent=2))
    else:
        Console(highlight=False).print(Waterfall.of(beat))
    context.exit(_EXIT_CODES[beat.status])


def _refuse_the_rest(context: click.Context) -> None:
    """The row says everything: what is given beside its id would not be exactly it."""
    for parameter in context.command.params:
        if parameter.name in ("from_monitor", "as_json"):
            continue
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
            named = parameter.opts[-1] if parameter.param_type_name == "option" else "URL"
            raise click.UsageError(f"--from-monitor checks what the row says: leave out {named}")


def _refuse_contradictions(given: _Given) -> None:
    if given["insecure"] and given["ca_pem"] is not None:
        raise click.UsageError("--insecure accepts any certificate: leave out it or --ca-file")
    warning, critical = given["warning_ms"], given["critical_ms"]
    if warning is not None and critical is not None and warning > critical:
        raise click.UsageError(f"--warning {warning} must not be above --critical {critical}")


def _monitor(url: str, given: _Given, registry: ProbeRegistry) -> Monitor:
    """What the command line says, as if it were a row."""
    options, redactor = _options_for(_probe_for(url, registry), url, given)
    return Monitor(
        id=MonitorId(0),
        name=options.target,
        type=url.partition("://")[0].lower(),
        target=options.target,
        interval_s=_DAY_S,  # long enough for every retry
        timeout_ms=given["timeout_ms"],
        thresholds=Thresholds(warning_ms=given["warning_ms"], critical_ms=given["critical_ms"]),
        keep_body=False,
        options=options,
        retries=given["retries"],
        retry_delay_ms=given["retry_delay_ms"],
        redactor=redactor,
    )


def _probe_for(url: str, registry: ProbeRegistry) -> Probe[Any]:
    scheme, found, _ = url.partition("://")
    shown = without_credentials(url)
    if not found:
        raise click.UsageError(f"URL '{shown}' has no scheme: write https://{shown} or http://...")
    probe = registry.get(scheme)
    if probe is None:
        known = ", ".join(f"{name}://" for name in registry.names())
        raise click.UsageError(f"URL '{shown}' cannot be checked: the known schemes are {known}")
    return probe


def _options_for(probe: Probe[Any], url: str, given: _Given) -> tuple[ProbeOptions, Redactor]:
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
    takes = probe.options.model_fields
    if "method" in takes and given["method"] is None and given["body"] is not None:
        wanted["method"] = "POST"
    flags = {field: value for field, value in wanted.items() if value is not None}
    options = given["options"]
    if "tls" in takes and "verify_tls" not in takes:
        options = (*options, *_within_tls(flags, options))
    full, options, redactor = resolved_here(flags, options)
    try:
        return validated(probe.options, full, options)[0], redactor
    except ValidationError as error:
        text = complaint(error, url.partition("://")[0], flags)
        raise click.UsageError(redactor.text(text)) from error


def _within_tls(flags: dict[str, Any], given: Sequence[GivenOption]) -> Iterator[GivenOption]:
    """`--insecure` and `--ca-file`, taken out of the flags, for a type with TLS in one object."""
    named = {option.path for option in given}
    for flag, name in (("verify_tls", "verify"), ("ca_pem", "ca_pem")):
        if flag not in flags:
            continue
        path, value = ("tls", name), flags.pop(flag)
        if path in named or ("tls",) in named:
            raise click.UsageError(f"--option {'.'.join(path)} and the flag for it: leave out one")
        yield GivenOption(path, value, str(value))

"""What does a command of this host say? Probe type `exec`, only for commands of an allow-list."""

import re
from dataclasses import replace
from signal import Signals
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from uptimeo.probes.answers.concluding import concluded
from uptimeo.probes.base import (
    Assertions,
    ErrorType,
    Exchange,
    Failure,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    Timeline,
    fail,
    one_line,
)
from uptimeo.probes.exec.file import Command, read_commands
from uptimeo.probes.exec.process import Output, run

_URL = re.compile(r"exec://[a-z0-9][a-z0-9_-]{0,62}")
_KEPT_BYTES = 65_536
_EVIDENCE_BYTES = 16_384
_LINE = 200
_PHASE = "run"
# Nothing of the agent's own environment, which holds the way into its database.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LOCALE = {"LANG": "C.UTF-8"}
# The convention of monitoring plugins.
_WARNING, _CRITICAL, _UNKNOWN = 1, 2, 3
_WORDS = {_WARNING: "warning", _CRITICAL: "critical", _UNKNOWN: "unknown"}


class ExecOptions(ProbeOptions):
    """The URL names an entry of the allow-list: exec://disk."""

    url: str = Field(
        min_length=1, max_length=2000, description="exec://name, an entry of the allow-list."
    )
    arguments: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="Values for the placeholders that the entry declares.",
    )
    plugin: bool = Field(
        default=True,
        description="Exit status as monitoring plugins have it: 0 up, 1 degraded, 3 unknown, any"
        " other down; without, 0 is up and any other down.",
    )
    assertions: Assertions = Field(
        default=(), description="What the output (`body`) or the time it took has to be like."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not _URL.fullmatch(url):
            raise ValueError("must have the form exec://name, a name in the allow-list")
        return url

    @property
    def name(self) -> str:
        """The entry's name."""
        return urlsplit(self.url).netloc


class ExecProbe(Probe[ExecOptions]):
    """Runs the command once, without a shell; the only phase is `run`."""

    options: ClassVar[type[ProbeOptions]] = ExecOptions

    async def probe(self, options: ExecOptions, context: ProbeContext) -> ProbeResult:
        """Run and judge; what the host does not allow is unknown."""
        timeline, output = Timeline(), Output(_KEPT_BYTES)
        try:
            command, argv = _command(options, context)
            limit_s = min(context.remaining_s(), command.timeout_s or context.remaining_s())
            environment = _ENVIRONMENT | _LOCALE | command.environment
            with timeline.phase(_PHASE):
                status = await run(argv, environment, limit_s, output)
        except TargetError as error:
            failure = _named(options, error.failure)
            return timeline.result(failure, exchange=_exchange(output))
        return await _result(options, status, output, timeline)


def _command(options: ExecOptions, context: ProbeContext) -> tuple[Command, list[str]]:
    if context.exec_file is None:
        text = "this agent runs no commands: UPTIMEO_EXEC_FILE is not set"
        raise fail(ErrorType.MISCONFIGURED, text)
    commands = read_commands(context.exec_file)
    if (command := commands.get(options.name)) is None:
        text = f"{context.exec_file} has no entry of that name"
        raise fail(ErrorType.MISCONFIGURED, text)
    try:
        return command, command.filled(options.arguments)
    except ValueError as error:
        raise fail(ErrorType.MISCONFIGURED, str(error)) from error


async def _result(
    options: ExecOptions, status: int, output: Output, timeline: Timeline
) -> ProbeResult:
    facts: dict[str, Any] = {"exit_status": status, **_said(output)}
    failure = _judge(options, status, str(facts.get("output", "")))
    result = timeline.result(failure, facts=facts, exchange=_exchange(output))
    result = await concluded(result, options.assertions, options.url, body=bytes(output.start))
    degraded = result.failure is None and options.plugin and status == _WARNING
    return replace(result, degraded=degraded)


def _judge(options: ExecOptions, status: int, line: str) -> Failure | None:
    if status == 0 or (options.plugin and status == _WARNING):
        return None
    unknown = options.plugin and status == _UNKNOWN
    kind = ErrorType.EXIT_UNKNOWN if unknown else ErrorType.EXIT_STATUS
    if status < 0:
        ended = f"killed by {_signal(-status)}"
    else:
        word = _WORDS.get(status) if options.plugin else None
        ended = f"exit status {status}{f' ({word})' if word else ''}"
    text = f"{options.url}: {ended}, expected 0{f': {line}' if line else ''}"
    return Failure(type=kind, message=text, phase=_PHASE)


def _said(output: Output) -> dict[str, str]:
    """The first line, and after its `|` the performance data."""
    first = bytes(output.start).decode("utf-8", "replace").strip().partition("\n")[0]
    line, bar, performance = first.partition("|")
    said = {"output": one_line(line.strip(), _LINE)} if line.strip() else {}
    return said | ({"performance": one_line(performance.strip(), _LINE)} if bar else {})


def _exchange(output: Output) -> Exchange | None:
    if not output.size:
        return None
    start = bytes(output.start[:_EVIDENCE_BYTES])
    return Exchange(
        body_start=start, size_bytes=output.size, body_truncated=output.size > len(start)
    )


def _named(options: ExecOptions, failure: Failure) -> Failure:
    text = f"{options.url}: {failure.message}"
    return Failure(type=failure.type, message=text, phase=failure.phase)


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"

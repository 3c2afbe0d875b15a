"""Does an exec check run only what is allowed, bounded, and read its end as plugins mean it?"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.verdict import Status, judge
from uptimeo.probes.base import ErrorType, Outcome, ProbeContext, ProbeResult
from uptimeo.probes.exec.probe import ExecOptions, ExecProbe

SH = '["/bin/sh", "-c", {}]'


class Host:
    """An allow-list in which each entry is a line of shell."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "exec.toml"
        self.file.write_text("")

    def allow(self, script: str, name: str = "it", more: str = "") -> None:
        argv = SH.format(json.dumps(script))
        self.file.write_text(f"[{name}]\nargv = {argv}\n{more}")
        self.file.chmod(0o600)

    def context(self, timeout_ms: int = 3000) -> ProbeContext:
        return ProbeContext(timeout_ms=timeout_ms, exec_file=self.file)

    async def check(self, timeout_ms: int = 3000, **options: Any) -> ProbeResult:
        given = ExecOptions.model_validate({"url": "exec://it"} | options)
        return await ExecProbe().probe(given, self.context(timeout_ms))

    async def run(self, script: str, **options: Any) -> ProbeResult:
        self.allow(script)
        return await self.check(**options)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def kind(result: ProbeResult) -> ErrorType | None:
    return result.failure.type if result.failure else None


def message(result: ProbeResult) -> str:
    assert result.failure is not None
    return result.failure.message


@pytest.mark.parametrize(
    ("script", "plugin", "status", "error"),
    [
        ("exit 0", True, Status.UP, None),
        ("exit 1", True, Status.DEGRADED, None),
        ("exit 2", True, Status.DOWN, ErrorType.EXIT_STATUS),
        ("exit 3", True, Status.UNKNOWN, ErrorType.EXIT_UNKNOWN),
        ("exit 42", True, Status.DOWN, ErrorType.EXIT_STATUS),
        ("kill -SEGV $$", True, Status.DOWN, ErrorType.EXIT_STATUS),
        ("exit 0", False, Status.UP, None),
        ("exit 1", False, Status.DOWN, ErrorType.EXIT_STATUS),
        ("exit 3", False, Status.DOWN, ErrorType.EXIT_STATUS),
    ],
)
async def test_the_exit_status_means_what_it_means_to_plugins(
    host: Host, script: str, plugin: bool, status: Status, error: ErrorType | None
) -> None:
    result = await host.run(script, plugin=plugin)

    assert judge(result, Thresholds()) is status
    assert kind(result) is error


async def test_the_first_line_and_the_performance_data_are_kept(host: Host) -> None:
    result = await host.run("echo 'DISK CRITICAL - 2% free | /=98%;80;90'; echo more; exit 2")

    assert message(result) == (
        "exec://it: exit status 2 (critical), expected 0: DISK CRITICAL - 2% free"
    )
    assert result.facts["performance"] == "/=98%;80;90"
    assert result.exchange is not None
    assert result.exchange.body_start.endswith(b"\nmore\n")
    assert result.phases.own["run"] > 0


async def test_standard_error_is_part_of_the_output_and_a_signal_is_named(host: Host) -> None:
    result = await host.run("echo 'oh no' >&2; kill -KILL $$")

    assert message(result) == "exec://it: killed by SIGKILL, expected 0: oh no"


async def test_what_is_asserted_of_the_output_is_told_when_it_fails(host: Host) -> None:
    wanted = [{"kind": "body", "contains": "ready"}]
    good = await host.run("echo ready", assertions=wanted)
    bad = await host.run("echo busy", assertions=wanted)

    assert good.failure is None
    assert kind(bad) is ErrorType.ASSERTION
    assert "expected body contains 'ready', got a body that begins 'busy" in message(bad)


async def test_arguments_fill_placeholders_and_no_shell_reads_them(host: Host) -> None:
    host.file.write_text(
        '[it]\nargv = ["/bin/echo", "at {path}!"]\n[it.arguments]\npath = "/[a-z0-9;$() ]*"\n'
    )
    host.file.chmod(0o600)
    result = await host.check(arguments={"path": "/x; $(exit 1)"})
    refused = await host.check(arguments={"path": "/x/../y"})
    missing = await host.check()
    other = await host.check(arguments={"path": "/x", "user": "root"})

    assert result.facts["output"] == "at /x; $(exit 1)!"
    assert message(refused).endswith("the argument 'path' is not of the form declared for it")
    assert message(missing) == message(other) == "exec://it: it takes the arguments: path"
    assert {each.outcome for each in (refused, missing, other)} == {Outcome.UNKNOWN}


async def test_nothing_of_the_agents_environment_is_passed_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_CONN_STRING", "postgresql://ann:hunter2@db/x")
    host.allow("/usr/bin/env; pwd", more='environment = {ANSWER = "42"}\n')
    result = await host.check()

    assert result.exchange is not None
    said = result.exchange.body_start.decode()
    assert "hunter2" not in said
    assert "ANSWER=42" in said
    assert said.endswith("/\n")


async def test_a_command_that_does_not_end_is_killed_with_its_children(
    host: Host, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    result = await host.run(f"echo begun; sleep 60 & echo $! $$ > {note}; wait", timeout_ms=300)

    assert kind(result) is ErrorType.TIMEOUT
    assert result.total_ms is not None
    assert result.total_ms < 500
    assert result.exchange is not None
    assert result.exchange.body_start == b"begun\n"
    async with asyncio.timeout(5):
        while any(_runs(int(pid)) for pid in note.read_text().split()):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_child_that_keeps_the_output_open_does_not_hold_the_check(host: Host) -> None:
    result = await host.run("echo done; sleep 60 &")

    assert result.failure is None
    assert result.total_ms is not None
    assert result.total_ms < 1500


async def test_the_entry_may_allow_less_time_than_the_monitor(host: Host) -> None:
    host.allow("sleep 60", more="timeout_s = 0.1\n")
    result = await host.check()

    assert message(result) == "exec://it: it did not end within 100 ms and was killed"


async def test_endless_output_is_bounded(host: Host) -> None:
    result = await host.run("yes", timeout_ms=500)
    much = await host.run("head -c 3000000 /dev/zero")

    assert kind(result) is ErrorType.TIMEOUT
    assert result.exchange is not None
    assert len(result.exchange.body_start) == 16_384
    assert much.exchange is not None
    assert (much.exchange.size_bytes, much.exchange.body_truncated) == (3_000_000, True)


async def test_no_descriptor_and_no_core_is_left_to_it(host: Host) -> None:
    # Limits are set from outside, when it has begun.
    result = await host.run("sleep 0.2; ls /proc/self/fd | wc -l; ulimit -c; ulimit -f")

    assert result.exchange is not None
    descriptors, core, file = result.exchange.body_start.decode().split()
    assert (int(descriptors), core) == (4, "0")
    assert file != "unlimited"


async def test_checks_leave_no_descriptor_behind(host: Host) -> None:
    await host.run("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        await host.run("sleep 60 & true")

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
async def test_a_file_that_others_can_write_allows_nothing(host: Host, mode: int) -> None:
    host.allow("true")
    host.file.chmod(mode)
    result = await host.check()

    assert kind(result) is ErrorType.MISCONFIGURED
    assert "can be written by others" in message(result)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_another_user_allows_nothing(host: Host) -> None:
    host.allow("true")
    os.chown(host.file, 65_534, 65_534)

    assert "belongs to another user" in message(await host.check())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no entry of that name"),
        ("[it", "Expected ']'"),
        ("[it]\nargv = []", "it.argv"),
        ('[it]\nargv = ["sh"]', "absolute path"),
        ('[it]\nargv = ["/bin/echo", "{a}"]', "{a} is not among the arguments"),
        ('[it]\nargv = ["/bin/echo"]\narguments = {a = "x"}', "'a' is nowhere in argv"),
        ('[it]\nargv = ["/bin/echo", "{a}"]\narguments = {a = "("}', "not a regular expression"),
        ('[it]\nargv = ["/bin/nothing-like-it"]', "cannot be run: No such file"),
        ('[it]\nargv = ["/etc/passwd"]', "cannot be run: Permission denied"),
    ],
)
async def test_a_wrong_file_is_our_own_fault(host: Host, text: str, expected: str) -> None:
    host.file.write_text(text)
    host.file.chmod(0o600)
    result = await host.check()

    assert result.outcome is Outcome.UNKNOWN
    assert expected in message(result)


async def test_without_a_file_nothing_is_run(tmp_path: Path) -> None:
    options = ExecOptions(url="exec://it")
    unset = await ExecProbe().probe(options, ProbeContext(timeout_ms=1000))
    missing = await ExecProbe().probe(
        options, ProbeContext(timeout_ms=1000, exec_file=tmp_path / "none")
    )

    assert "UPTIMEO_EXEC_FILE is not set" in message(unset)
    assert "No such file" in message(missing)
    assert unset.outcome is missing.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "given", [{"url": "exec:///bin/sh"}, {"url": "exec://a/b"}, {"url": "exec://"}, {"argv": []}]
)
def test_a_row_cannot_bring_its_own_command(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExecOptions.model_validate({"url": "exec://it"} | given)

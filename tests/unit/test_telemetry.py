"""Is every log line one JSON object, and is what others rely on word for word?"""

import ast
import inspect
import io
import json
import logging
import re
import typing
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.builders import VA, failed, heartbeat, hold, monitor, result
from tests.support.fakes import LogBook
from uptimeo.domain.heartbeat import EvidenceReason, to_wire
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.partition import Hold
from uptimeo.domain.result import ErrorType, Exchange
from uptimeo.telemetry import HeartbeatLog, Log, json_log, log, silence_libraries, upkeep

FIRST_KEYS = ["ts", "level", "event", "message", "datacenter", "instance"]
ERROR = RuntimeError("it broke\nin two lines")

# What a method may be told, by the type that it asks for.
SAMPLES: dict[Any, Any] = {
    DatacenterId: VA,
    Monitor: monitor(),
    Exception: ERROR,
    BaseException: ERROR,
    str: "text",
    int: 5,
    float: 0.25,
    bool: True,
    list[str]: ["a", "b"],
    Hold: hold(),
}


def wire(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(to_wire(heartbeat(7, **changes)))
    return row


def sample(annotation: Any) -> Any:
    """A value of that type; the row of a heartbeat for a dict; what is there for `X | None`."""
    if typing.get_origin(annotation) is dict:
        return wire()
    options = typing.get_args(annotation) if annotation not in SAMPLES else (annotation,)
    return next(SAMPLES[option] for option in options if option in SAMPLES)


def call(log: Log, method: str) -> None:
    """Call a method with a sample of everything that it asks for."""
    bound = getattr(log, method)
    hints = typing.get_type_hints(bound)
    positional, named = [], {}
    for parameter in inspect.signature(bound).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = sample(hints[parameter.name])
        else:
            positional.append(sample(hints[parameter.name]))
    bound(*positional, **named)


def lines_of(method: str) -> list[dict[str, Any]]:
    """What a call of that method writes."""
    book = LogBook(datacenter="VA", instance="agent-1")
    call(book.log, method)
    return book.lines()


def the_line(method: str) -> dict[str, Any]:
    (line,) = lines_of(method)
    return line


def event_names() -> list[str]:
    """The first word of every call of the logger in the source, in order."""
    trees = [ast.parse(inspect.getsource(module)) for module in (log, upkeep)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        ast.literal_eval(node.args[0])
        for node in calls
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "self._logger"
    ]


METHODS = [
    name for name, _ in inspect.getmembers(Log, inspect.isfunction) if not name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS)
def test_an_event_is_one_json_line_with_the_fixed_keys_first(method: str) -> None:
    line = the_line(method)

    assert list(line)[:6] == FIRST_KEYS
    assert (line["datacenter"], line["instance"]) == ("VA", "agent-1")


@pytest.mark.parametrize("method", METHODS)
def test_the_name_of_an_event_is_a_constant_of_the_source(method: str) -> None:
    event = the_line(method)["event"]

    assert event in event_names()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)


def test_no_two_methods_share_an_event() -> None:
    events = [the_line(method)["event"] for method in METHODS]

    assert len(set(events)) == len(METHODS) >= 27


def test_no_event_is_written_in_two_places() -> None:
    names = event_names()

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("method", METHODS)
def test_a_message_is_for_people(method: str) -> None:
    assert re.match(r"[A-Z0-9]|text", the_line(method)["message"])


@pytest.mark.parametrize(
    ("method", "message", "level"),
    [
        ("lease_acquired", "Acquired lock for datacenter:1", "info"),
        ("lease_released", "Released lock for datacenter:1", "info"),
        ("heartbeat_inserted", "Heartbeat inserted for monitor 7 (checkout)", "info"),
        ("probe_failed", "Monitor execution failed", "error"),
        ("heartbeats_unsent", "Failed to save heartbeat", "warning"),
        ("heartbeat_set_aside", "Failed to save heartbeat", "error"),
        ("heartbeats_dropped", "Failed to save heartbeat", "error"),
    ],
)
def test_the_messages_that_installations_rely_on_are_word_for_word(
    method: str, message: str, level: str
) -> None:
    line = the_line(method)

    assert (line["message"], line["level"]) == (message, level)


def test_the_time_is_utc_in_iso_format() -> None:
    stamp = datetime.fromisoformat(the_line("agent_stopped")["ts"])

    assert stamp.utcoffset() is not None
    assert stamp.tzname() == "UTC"


def test_an_error_is_told_with_its_type() -> None:
    line = the_line("spool_failed")

    assert line["error"] == "RuntimeError: it broke\nin two lines"


def test_no_text_breaks_a_line_or_the_json() -> None:
    stream = io.StringIO()
    nasty = monitor(name='a\nb\r\x1b[2J"\ud800\u2028{')

    json_log(stream, level="INFO").probe_failed(nasty, ERROR)

    assert stream.getvalue().isascii()
    assert len(stream.getvalue().splitlines()) == 1
    assert json.loads(stream.getvalue())["monitor"] == nasty.name


def test_what_is_below_the_level_is_not_written() -> None:
    book = LogBook(level="WARNING")

    book.log.agent_stopped(0)
    book.log.spool_failed(ERROR)

    assert book.events() == ["spool_failed"]


def test_a_failed_check_leaves_both_lines() -> None:
    book = LogBook()

    book.log.heartbeat_inserted(wire(result=failed(ErrorType.DNS)))

    told = [(line["level"], line["message"]) for line in book.lines()]
    assert told == [
        ("warning", "Monitor execution failed"),
        ("info", "Heartbeat inserted for monitor 7 (checkout)"),
    ]
    assert book.lines("check_failed")[0]["error_type"] == "dns_error"


def test_a_heartbeat_line_holds_the_figures_and_no_evidence() -> None:
    exchange = Exchange(request_headers=(("A", "1"),), body_start=b"x", status_code=200)
    book = LogBook()

    book.log.heartbeat_inserted(
        wire(result=result(exchange=exchange), evidence=EvidenceReason.CHANGE)
    )

    (line,) = book.lines()
    assert (line["response_time_ms"], line["response_status_code"]) == (120.0, 200)
    assert not {key for key in line if key.startswith("raw_") or key == "evidence"}


STORY = [result(), result(), failed(), failed(), result(), result()]


@pytest.mark.parametrize(
    ("which", "statuses"),
    [
        (HeartbeatLog.ALL, ["up", "up", "down", "down", "up", "up"]),
        (HeartbeatLog.CHANGES, ["up", "down", "up"]),
        (HeartbeatLog.NONE, []),
    ],
)
def test_log_heartbeats_says_which_ones_leave_a_line(
    which: HeartbeatLog, statuses: list[str]
) -> None:
    book = LogBook(heartbeats=which)

    for each in STORY:
        book.log.heartbeat_inserted(wire(result=each))

    assert [line["status"] for line in book.lines("heartbeat_inserted")] == statuses


def test_changes_are_those_of_each_monitor() -> None:
    book = LogBook(heartbeats=HeartbeatLog.CHANGES)

    for number in (1, 2, 1, 2):
        book.log.heartbeat_inserted(wire(monitor=monitor(number)))

    assert [line["monitor_id"] for line in book.lines()] == [1, 2]


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """What is done to the standard library's logging ends with the test."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("name", ["asyncio", "psycopg.pool", "any.library"])
def test_a_library_s_error_stays_out_of_the_log(
    name: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    silence_libraries()

    logging.getLogger(name).error("a connection was lost")

    assert capsys.readouterr() == ("", "")
    assert not caplog.records

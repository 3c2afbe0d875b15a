"""Does the waterfall show a result truly, on every console?"""

import io

import pytest
from rich.console import Console

from uptimeo.cli.palette import Pen
from uptimeo.cli.waterfall import Bar, Waterfall, result_as_json
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import (
    ErrorType,
    Exchange,
    Failure,
    Phase,
    Phases,
    ProbeResult,
    our_fault,
)
from uptimeo.domain.verdict import Status, judge

UNICODE = Pen(ascii_only=False)
ASCII = Pen(ascii_only=True)
ANSWER = Exchange(status_code=200, http_version="1.1", size_bytes=18_234)
HEALTHY = ProbeResult(
    total_ms=434.9,
    ttfb_ms=409.1,
    resolved_ip="203.0.113.20",
    exchange=ANSWER,
    phases=Phases(dns=12.4, connect=31.0, tls=68.4, send=0.08, wait=296.3, transfer=25.8),
)
STUCK_IN_TLS = ProbeResult(
    total_ms=10_000.9,
    resolved_ip="203.0.113.20",
    phases=Phases(dns=12.4, connect=31.0, tls=9957.4),
    failure=Failure(
        type=ErrorType.TLS_TIMEOUT,
        phase=Phase.TLS,
        message="TLS handshake with 203.0.113.20:443 not finished within 10000 ms",
    ),
)


def rendered(
    result: ProbeResult,
    *,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - frozen
    target: str = "https://api.example.com/health",
    width: int = 80,
    encoding: str = "utf-8",
) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    status = judge(result, thresholds)
    shown = Waterfall(target=target, result=result, status=status, thresholds=thresholds)
    Console(file=file, width=width, force_terminal=False).print(shown)
    file.seek(0)
    return file.read().splitlines()


def row(lines: list[str], name: str) -> str:
    (found,) = [line for line in lines if line[2:].startswith(f"{name} ")]
    return found


def test_a_healthy_check_reads_from_the_headline_to_the_total() -> None:
    assert rendered(HEALTHY) == [
        "✔ UP  https://api.example.com/health" + " " * 36 + "434.9 ms",
        "  HTTP/1.1 200 OK · 203.0.113.20 · 18.2 kB · first byte 409.1 ms",
        "",
        "  redirect        –",  # noqa: RUF001 - the sign for an absent value
        "  dns          12.4 ms   3 %  █▍",
        "  connect      31.0 ms   7 %   ▐██▊",
        "  tls          68.4 ms  16 %      ▕███████▍",
        "  send          0.1 ms  <1 %              │",
        "  wait        296.3 ms  68 %              ▐████████████████████████████████",
        "  transfer     25.8 ms   6 %                                               ██▉",
        "  other         0.9 ms  <1 %                                                 ▕",
        "  total       434.9 ms",
    ]


def test_a_failed_phase_is_marked_and_told_in_a_sentence() -> None:
    lines = rendered(STUCK_IN_TLS)
    assert lines[0].startswith("✘ DOWN  ")
    assert row(lines, "tls").startswith("✘ tls ")
    assert row(lines, "wait").split() == ["wait", UNICODE.absent]
    assert lines[-2:] == [
        "  Failed in tls: TLS handshake with 203.0.113.20:443 not finished within 10000",
        "  ms (tls_timeout).",
    ]


def test_a_failure_after_the_exchange_names_no_phase() -> None:
    failure = Failure(type=ErrorType.HTTP_STATUS, message="HTTP status 503 from 127.0.0.1:80")
    lines = rendered(ProbeResult(total_ms=1.0, phases=Phases(wait=1.0), failure=failure))
    assert lines[-1] == "  Failed: HTTP status 503 from 127.0.0.1:80 (http_status)."
    assert not any(line.startswith("✘ ") for line in lines[1:])


def test_a_fault_of_our_own_is_not_blamed_on_the_target() -> None:
    lines = rendered(our_fault(ErrorType.RESOURCES, "Too many open files"))
    assert lines[0] == "? UNKNOWN  https://api.example.com/health"
    assert "Not checked, which says nothing about the target" in lines[-2]
    assert not [line for line in lines if "total" in line]  # nothing was measured


@pytest.mark.parametrize(
    ("thresholds", "word", "sentence"),
    [
        (Thresholds(warning_ms=300), "DEGRADED", "Slower than the warning threshold of 300 ms"),
        (
            Thresholds(warning_ms=300, critical_ms=400),
            "CRITICAL",
            "Slower than the critical threshold of 400 ms",
        ),
    ],
)
def test_a_slow_check_names_threshold_and_slowest_phase(
    thresholds: Thresholds, word: str, sentence: str
) -> None:
    lines = rendered(HEALTHY, thresholds=thresholds)
    assert lines[0].startswith(f"▲ {word}  ")
    assert lines[-2] == f"  {sentence}: wait alone took 296.3 ms."


def test_thresholds_are_shown_even_if_none_was_passed() -> None:
    lines = rendered(HEALTHY, thresholds=Thresholds(warning_ms=500, critical_ms=1000))
    assert lines[-1] == "  Thresholds: degraded above 500 ms, critical above 1000 ms."


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_no_line_is_wider_than_the_console_nor_than_100(width: int, encoding: str) -> None:
    for result in (HEALTHY, STUCK_IN_TLS, our_fault(ErrorType.INTERNAL, "x" * 400)):
        lines = rendered(result, target="https://h/" + "x" * 500, width=width, encoding=encoding)
        assert max(map(len, lines)) <= min(width, 100)


def test_a_console_without_unicode_gets_plain_ascii() -> None:
    text = "\n".join(rendered(HEALTHY, target="https://bücher.example", encoding="ascii"))
    assert text.isascii()
    assert text.startswith("+ UP  https://b\\xfccher.example")
    assert "#####" in text


def test_texts_from_outside_are_neither_markup_nor_control_characters() -> None:
    failure = Failure(type=ErrorType.PROTOCOL, message="[red]no\x1b[2J\nUP")
    lines = rendered(ProbeResult(total_ms=1.0, failure=failure), target="https://h/[bold]\r")
    assert "https://h/[bold]\\r" in lines[0]
    assert lines[-1] == "  Failed: [red]no\\x1b[2J\\nUP (protocol_error)."


@pytest.mark.parametrize(
    ("start", "ms", "drawn"),
    [
        (0, 80, "██████████"),
        (0, 12, "█▌"),
        (0, 1, "▏"),
        (3, 1, "│"),
        (7, 1, "▕"),
        (4, 4, "▐"),
        (8, 8, " █"),
        (12, 12, " ▐█"),
        (15, 12, " ▕█▍"),
        (79.9, 0.1, "         ▕"),
        (40, 0.0001, "     ▏"),
    ],
)
def test_a_bar_begins_and_ends_within_cells(start: float, ms: float, drawn: str) -> None:
    assert Bar(start, ms, 80, 10).drawn(UNICODE) == drawn


@pytest.mark.parametrize(
    ("start", "ms", "drawn"), [(0, 80, "##########"), (16, 16, "  ##"), (40, 0.1, "     |")]
)
def test_an_ascii_bar_has_whole_cells(start: float, ms: float, drawn: str) -> None:
    assert Bar(start, ms, 80, 10).drawn(ASCII) == drawn


@pytest.mark.parametrize("ms", [None, 0.0])
def test_what_took_no_time_has_no_bar(ms: float | None) -> None:
    assert Bar(0, ms, 80, 10).drawn(UNICODE) == ""


def test_bars_follow_each_other_without_overlap_and_fill_the_width() -> None:
    covered = [0] * 48
    for phase in ("connect", "tls", "wait", "transfer"):
        bar = row(rendered(HEALTHY, width=80), phase)[30:]
        for cell, sign in enumerate(bar):
            covered[cell] += sign == "█"
    assert max(covered) == 1


def test_json_has_every_key_also_when_nothing_is_known() -> None:
    known = result_as_json(HEALTHY, Status.UP, "https://h")
    unknown = result_as_json(our_fault(ErrorType.STUCK, "stuck"), Status.UNKNOWN, "https://h")
    assert list(known) == list(unknown)
    assert known["phases"] == {
        "redirect_ms": None,
        "dns_ms": 12.4,
        "connect_ms": 31.0,
        "tls_ms": 68.4,
        "send_ms": 0.08,
        "wait_ms": 296.3,
        "transfer_ms": 25.8,
    }
    assert (known["success"], unknown["success"]) == (True, None)
    assert unknown["error"] == {"type": "probe_stuck", "phase": None, "message": "stuck"}


def test_a_phase_of_the_probes_own_has_a_row_and_a_key_like_the_others() -> None:
    phases = Phases(connect=31.0, own={"bannerline": 300.0})
    greeted = ProbeResult(total_ms=340.0, phases=phases, facts={"greeting": "hello"})

    lines = rendered(greeted)
    known = result_as_json(greeted, Status.UP, "banner://h:25")

    assert row(lines, "bannerline").startswith("  bannerline  300.0 ms  88 %")
    assert row(lines, "connect").startswith("  connect      31.0 ms   9 %")
    assert isinstance(known["phases"], dict)
    assert known["phases"]["bannerline_ms"] == 300.0
    assert known["facts"] == {"greeting": "hello"}


def test_json_redacts_the_values_of_secret_headers() -> None:
    headers = (("Set-Cookie", "session=1"), ("Server", "nginx"))
    result = ProbeResult(total_ms=1.0, exchange=Exchange(response_headers=headers))
    assert result_as_json(result, Status.UP, "https://h")["response_headers"] == {
        "Set-Cookie": "[redacted]",
        "Server": "nginx",
    }


def test_only_phases_that_were_reached_are_shown_of_most_types() -> None:
    failure = Failure(type=ErrorType.CONNECT_REFUSED, message="refused", phase=Phase.CONNECT)
    result = ProbeResult(total_ms=1.0, phases=Phases(dns=0.4, connect=0.6), failure=failure)
    shown = Waterfall(
        target="tcp://a:1",
        result=result,
        status=Status.DOWN,
        thresholds=Thresholds(),
        complete=False,
    )
    file = io.StringIO()
    Console(file=file, width=80).print(shown)
    names = [line[2:].split(" ")[0] for line in file.getvalue().splitlines()[2:6]]
    assert names == ["dns", "connect", "other", "total"]


def test_what_leads_to_tls_is_drawn_before_it() -> None:
    own = {"greeting": 1.0, "starttls": 1.0, "capability": 1.0}
    result = ProbeResult(total_ms=5.0, phases=Phases(connect=1.0, tls=1.0, own=own))
    names = [line[2:].split(" ")[0] for line in rendered(result)]
    assert [name for name in names if name in (*own, "connect", "tls")] == [
        *("connect", "greeting", "starttls", "tls", "capability")
    ]

"""Are the facts of a check shown for reading, whatever they are?"""

from datetime import UTC, datetime
from typing import Any

import pytest

from uptimeo.cli.facts import attempt_lines, fact_lines
from uptimeo.cli.palette import Pen
from uptimeo.domain.details import FailedAttempt
from uptimeo.domain.result import ErrorType, Failure

HOP = {"url": "https://a.example/x", "status": 302, "ip": "203.0.113.20", "total_ms": 12.345}
CERTIFICATE = {
    "subject": "CN=a.example",
    "issuer": "CN=Some CA,O=Some",
    "names": ["a.example", "b.example"],
    "fingerprint": "ab" * 32,
    "key": "EC secp256r1",
    "leaf_expires": "2027-01-02T03:04:05+00:00",
    "chain_expires": None,
}


def drawn(facts: dict[str, Any], width: int = 80, *, ascii_only: bool = False) -> list[str]:
    lines = fact_lines(facts, Pen(ascii_only=ascii_only), width)
    return [line.plain.rstrip() for line in lines]


def test_hops_are_a_table_in_order() -> None:
    lost = {"url": "https://b.example/", "status": None, "ip": None, "total_ms": 3.0}
    assert drawn({"hops": [HOP, lost]}) == [
        "  hop 1       302    12.35 ms  203.0.113.20     https://a.example/x",
        "  hop 2         \N{EN DASH}     3.00 ms  \N{EN DASH}                https://b.example/",
    ]


def test_a_certificate_tells_its_end_and_whose_it_is() -> None:
    assert drawn({"certificate": CERTIFICATE}) == [
        "  certificate valid until 2027-01-02, its chain not verified",
        "              for a.example, b.example",
        "              by CN=Some CA,O=Some",
        "              EC secp256r1, SHA-256",
        f"              {'ab' * 32}",
    ]


def test_assertions_say_what_was_expected_and_what_came() -> None:
    held = {"ok": True, "expected": "status 200", "got": "status 200"}
    failed = {"ok": False, "expected": "body contains 'x'", "got": "an empty body"}
    assert drawn({"assertions": [held, failed]}) == [
        "  ✔ asserted  status 200",
        "  ✘ asserted  body contains 'x': got an empty body",
    ]


def test_a_certificate_tells_how_long_it_will_last() -> None:
    now = datetime(2026, 12, 3, tzinfo=UTC)
    lines = list(fact_lines({"certificate": CERTIFICATE}, Pen(ascii_only=False), 80, now))
    assert (
        lines[0].plain == "  certificate valid until 2027-01-02 (30 days), its chain not verified"
    )
    later = now.replace(year=2027)
    lines = list(fact_lines({"certificate": CERTIFICATE}, Pen(ascii_only=False), 80, later))
    assert lines[0].plain.startswith("  certificate expired on 2027-01-02 (335 days ago)")


def test_a_ping_tells_loss_and_times() -> None:
    facts = {"sent": 4, "received": 3, "loss_percent": 25.0, "min_ms": 0.03, "avg_ms": 0.045}
    facts |= {"max_ms": 0.06, "stddev_ms": 0.01, "jitter_ms": 0.02}
    assert drawn({"ping": facts | {"socket": "datagram", "duplicates": 1}}) == [
        "  loss        1 of 4 lost (25 %)",
        "  times in ms min 0.030, avg 0.045, max 0.060, stddev 0.010, jitter 0.020",
        "  by          datagram socket, 1 duplicates",
    ]


def test_answers_of_dns_are_lines_and_not_endless() -> None:
    server = {"rcode": "NOERROR", "server": "192.0.2.53:53", "transport": "udp", "flags": "QR RD"}
    lines = drawn({"dns": server, "answers": [f"192.0.2.{n}" for n in range(12)]})
    assert lines[0] == "  dns         NOERROR from 192.0.2.53:53 by udp, flags QR RD"
    assert lines[1] == "  answers     192.0.2.0"
    assert lines[-1] == "              … and 2 more"


def test_what_a_mail_server_offers_is_a_list() -> None:
    assert drawn({"offers": ["STARTTLS", "SIZE 1000"]}) == ["  offers      STARTTLS, SIZE 1000"]


def test_a_long_name_has_a_line_of_its_own() -> None:
    assert drawn({"a_long_name_of_a_fact": 1}) == ["  a_long_name_of_a_fact", "              1"]


def test_failed_tries_say_why_and_when() -> None:
    failure = Failure(type=ErrorType.CONNECT_REFUSED, message="refused by a:1", phase="connect")
    lines = attempt_lines([FailedAttempt(failure=failure, total_ms=0.5)], Pen(ascii_only=False), 80)
    assert [line.plain.rstrip() for line in lines] == [
        "  ✘ try 1     connect_refused in connect after 0.50 ms",
        "              refused by a:1",
    ]


def test_a_family_is_one_line() -> None:
    summary = {"outcome": "down", "total_ms": 1.5, "ip": "::1", "error_type": "connect_refused"}
    assert drawn({"families": {"v6": summary | {"status": None}}}) == [
        "  v6          down        1.50 ms  ::1  connect_refused"
    ]
    silent = summary | {"outcome": "up", "status": None, "error_type": None}
    assert drawn({"families": {"v6": silent}}) == ["  v6          up          1.50 ms  ::1"]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"token_ms": 12.5}, "  token_ms    12.5"),
        ({"serial": 7}, "  serial      7"),
        ({"rows": ["a", "b"]}, '  rows        ["a", "b"]'),
        ({"value": None}, "  value       null"),
        ({"hops": "none"}, "  hops        none"),
        ({"certificate": {"issuer": 1}}, '  certificate {"issuer": 1}'),
    ],
)
def test_any_other_fact_is_name_and_value(facts: dict[str, Any], line: str) -> None:
    assert drawn(facts) == [line]


@pytest.mark.parametrize("width", [40, 80])
def test_foreign_texts_neither_widen_a_line_nor_move_the_cursor(width: int) -> None:
    hostile = {"ok": False, "expected": "x\x1b[2J\n" * 50, "got": "漢" * 200}
    lines = drawn({"assertions": [hostile], "evil\n": "\r" * 300}, width)

    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_a_console_without_unicode_gets_plain_ascii() -> None:
    facts = {"hops": [HOP | {"ip": None}], "assertions": [{"ok": True, "expected": "é", "got": ""}]}
    assert all(line.isascii() for line in drawn(facts, ascii_only=True))

"""In what form does a heartbeat travel to PostgreSQL?"""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.support.builders import HOLDER, NOON, failed, heartbeat, monitor, origin, result
from uptimeo.domain.heartbeat import EvidenceReason, Heartbeat, to_wire
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

EXCHANGE = Exchange(
    request_headers=(("User-Agent", "UptimeO"),),
    response_headers=(
        ("content-type", "application/json"),
        ("Content-Type", "text/html"),
        ("SERVER", "nginx" * 20),
        ("CF-Cache-Status", "HIT"),
    ),
    status_code=200,
    http_version="2",
    size_bytes=12,
    body_start=b'{"ok": true}',
)
NAIVE = NOON.replace(tzinfo=None)
RAW = {"raw_request_headers", "raw_response_headers", "raw_response_body"}


def wire(beat: Heartbeat) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(to_wire(beat))
    return parsed


def test_a_success_has_exactly_what_was_measured() -> None:
    row = wire(heartbeat())

    assert row == {
        "monitor_id": 7,
        "monitor_name": "checkout",
        "datacenter_id": 1,
        "agent_id": 1,
        "term": 1,
        "holder": HOLDER,
        "scheduled_at": "2026-01-02T12:00:00+00:00",
        "executed_at": "2026-01-02T12:00:00+00:00",
        "attempts": 1,
        "status": "up",
        "success": True,
        "response_time_ms": 120.0,
        "dns_lookup_ms": 20.0,
        "wait_ms": 80.0,
    }


def test_what_was_not_reached_is_absent_and_not_zero() -> None:
    row = wire(heartbeat(result=our_fault(ErrorType.STUCK, "hangs")))

    assert not {key for key in row if key.endswith("_ms")}
    assert "success" not in row


def test_a_measured_zero_stays_a_zero() -> None:
    row = wire(heartbeat(result=result(phases=Phases(dns=0.0))))

    assert row["dns_lookup_ms"] == 0.0


def test_milliseconds_are_rounded_to_the_microsecond() -> None:
    phases = Phases(
        redirect=1.00049, dns=2.00051, connect=3.1234567, tls=4.9999, send=5.0, wait=6.0, transfer=7
    )
    measured = result(total_ms=29.1239999, ttfb_ms=22.00049999, phases=phases)

    row = wire(heartbeat(result=measured))

    assert {key: value for key, value in row.items() if key.endswith("_ms")} == {
        "response_time_ms": 29.124,
        "time_to_first_byte_ms": 22.0,
        "redirect_ms": 1.0,
        "dns_lookup_ms": 2.001,
        "tcp_connect_ms": 3.123,
        "tls_handshake_ms": 5.0,
        "send_ms": 5.0,
        "wait_ms": 6.0,
        "transfer_ms": 7,
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_no_number_is_absent(value: float) -> None:
    row = wire(heartbeat(result=ProbeResult(total_ms=value)))

    assert "response_time_ms" not in row


def test_a_failure_says_what_why_and_in_which_phase() -> None:
    failure = Failure(type=ErrorType.TLS_EXPIRED, message="ended\nyesterday", phase=Phase.TLS)

    row = wire(heartbeat(result=result(failure=failure)))

    assert row["status"] == "down"
    assert row["success"] is False
    assert row["error_type"] == "tls_certificate_expired"
    assert row["error_message"] == "ended\\nyesterday"
    assert row["failed_phase"] == "tls"


def test_a_failure_without_a_phase_names_none() -> None:
    assert "failed_phase" not in wire(heartbeat(result=failed(ErrorType.HTTP_STATUS)))


def test_the_thresholds_travel_with_the_heartbeat_they_judged() -> None:
    slow = monitor(thresholds=Thresholds(warning_ms=100, critical_ms=500))

    row = wire(heartbeat(monitor=slow))

    assert (row["warning_threshold_ms"], row["critical_threshold_ms"]) == (100, 500)
    assert row["status"] == "degraded"


def test_the_answer_is_described_in_short_columns() -> None:
    row = wire(heartbeat(result=result(exchange=EXCHANGE)))

    assert row["response_status_code"] == 200
    assert row["response_size_bytes"] == 12
    assert row["response_content_type"] == "text/html"
    assert len(row["response_server"]) == 50
    assert row["response_cache_status"] == "HIT"
    assert row["http_version"] == "2"


def test_without_being_asked_for_there_is_no_evidence() -> None:
    row = wire(heartbeat(result=result(exchange=EXCHANGE), evidence=None))

    assert not {"evidence", *RAW} & row.keys()


def test_evidence_is_headers_body_addresses_and_certificate_beside_the_row() -> None:
    seen = result(exchange=EXCHANGE, addresses=("192.0.2.1:443",), certificate={"subject": "x"})

    row = wire(heartbeat(result=seen, evidence=EvidenceReason.FAILURE))

    evidence = row["evidence"]
    assert not RAW & row.keys()
    assert evidence["reason"] == "failure"
    assert evidence["addresses"] == ["192.0.2.1:443"]
    assert evidence["certificate"] == {"subject": "x"}
    assert evidence["request_headers"] == {"User-Agent": "UptimeO"}
    assert set(evidence["response_headers"]) == {
        "content-type",
        "Content-Type",
        "SERVER",
        "CF-Cache-Status",
    }
    assert evidence["response_body"] == {"ok": True}


@pytest.mark.parametrize("reason", [None, EvidenceReason.FAILURE])
def test_where_the_schedule_asks_for_bodies_they_are_in_the_row_and_nowhere_else(
    reason: EvidenceReason | None,
) -> None:
    row = wire(
        heartbeat(
            monitor=monitor(keep_body=True), result=result(exchange=EXCHANGE), evidence=reason
        )
    )

    assert row.keys() >= RAW
    assert row["raw_response_body"] == {"ok": True}
    assert not {"request_headers", "response_body"} & row.get("evidence", {}).keys()


def test_a_certificate_that_is_among_the_facts_is_not_kept_twice() -> None:
    facts = {"certificate": {"subject": "x"}}
    seen = result(facts=facts, certificate={"subject": "x"})

    row = wire(heartbeat(result=seen, evidence=EvidenceReason.CHANGE))

    assert row["details"] == facts
    assert "certificate" not in row["evidence"]


def test_without_addresses_the_one_that_was_reached_is_evidence() -> None:
    seen = result(resolved_ip="192.0.2.7")

    row = wire(heartbeat(result=seen, evidence=EvidenceReason.CHANGE))

    assert row["evidence"]["addresses"] == ["192.0.2.7"]


def test_an_empty_body_is_absent() -> None:
    exchange = Exchange(status_code=204)

    row = wire(heartbeat(result=result(exchange=exchange), evidence=EvidenceReason.CHANGE))

    assert "response_body" not in row["evidence"]


def test_an_agent_that_is_not_registered_leaves_its_id_out() -> None:
    assert "agent_id" not in wire(heartbeat(origin=origin(agent_id=None)))


@pytest.mark.parametrize("naive", [{"scheduled_at": NAIVE}, {"executed_at": NAIVE}])
def test_a_time_without_a_zone_is_refused(naive: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="carry a zone"):
        heartbeat(7, **naive)


def test_microseconds_of_the_times_are_kept() -> None:
    executed_at = NOON.replace(microsecond=123456)

    row = wire(heartbeat(executed_at=executed_at))

    assert datetime.fromisoformat(row["executed_at"]) == executed_at


def test_phases_and_the_rest_make_the_total() -> None:
    measured = result(total_ms=120.0, phases=Phases(dns=20.0, wait=80.0))

    assert measured.phases.measured() == [(Phase.DNS, 20.0), (Phase.WAIT, 80.0)]
    assert measured.other_ms == pytest.approx(20.0)
    assert our_fault(ErrorType.STUCK, "hangs").other_ms is None

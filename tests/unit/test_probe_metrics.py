"""Does a heartbeat say what blackbox_exporter would, in its words?"""

from typing import Any

import pytest

from tests.support.builders import NOON, failed, heartbeat, monitor, result
from tests.support.ops import CERTIFICATE, answered
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import ErrorType, Exchange, Phases, ProbeResult
from uptimeo.ops.probe_metrics import FAMILIES, expiries, values


def of(outcome: ProbeResult, kind: str = "https", **changes: Any) -> dict[str, float]:
    """The values of a heartbeat by shorter keys: `name` or `name phase`."""
    beat = heartbeat(monitor=monitor(type=kind, **changes), result=outcome)
    found = values(beat, expiries(beat, {}))
    return {key.rstrip("{,").replace('{phase="', " ").rstrip('"'): found[key] for key in found}


def test_an_https_check_has_the_names_and_units_of_blackbox_exporter() -> None:
    found = of(answered())

    expected = {
        "probe_success": 1,
        "probe_duration_seconds": 0.21,
        "probe_dns_lookup_time_seconds": 0.01,
        "probe_ip_protocol": 4,
        "probe_http_duration_seconds resolve": 0.01,
        "probe_http_duration_seconds connect": 0.02,
        "probe_http_duration_seconds tls": 0.03,
        "probe_http_duration_seconds processing": 0.1,
        "probe_http_duration_seconds transfer": 0.05,
        "probe_http_status_code": 200,
        "probe_http_version": 2.0,
        "probe_http_content_length": 999,
        "probe_http_uncompressed_body_length": 1234,
        "probe_http_redirects": 0,
        "probe_http_ssl": 1,
        "probe_failed_due_to_regex": 0,
        "probe_ssl_earliest_cert_expiry": 1796083200,
        "probe_ssl_last_chain_expiry_timestamp_seconds": 1796083200,
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_the_phases_of_redirects_add_up_and_other_hops_are_no_redirects() -> None:
    hops = [
        {"status": 302, "phases": {"dns": 1.0, "connect": 2.0, "send": 0.5, "wait": 3.0}},
        {"status": 401, "phases": {"connect": 2.0, "wait": 3.0}},
        {"status": 200, "phases": {"connect": 2.0, "wait": 3.0, "transfer": 4.0}},
    ]
    found = of(answered(facts={"hops": hops}))

    assert found["probe_http_redirects"] == 1
    assert found["probe_http_duration_seconds connect"] == pytest.approx(0.006)
    assert found["probe_http_duration_seconds processing"] == pytest.approx(0.0095)
    assert found["probe_http_duration_seconds tls"] == 0


def test_without_an_answer_there_are_zeros_as_in_blackbox_exporter() -> None:
    found = of(failed(phases=Phases(dns=5, connect=10), total_ms=15.0, exchange=Exchange()))

    zeros = ("status_code", "version", "content_length", "uncompressed_body_length", "ssl")
    assert [found[f"probe_http_{name}"] for name in zeros] == [0] * 5
    assert found["probe_success"] == 0
    assert found["probe_duration_seconds"] == pytest.approx(0.015)


def test_a_length_that_nobody_said_is_minus_one() -> None:
    exchange = Exchange(status_code=200, http_version="1.1", size_bytes=5)

    assert of(answered(exchange=exchange))["probe_http_content_length"] == -1


@pytest.mark.parametrize(
    ("error", "failed_by_it"), [(ErrorType.ASSERTION, 1), (ErrorType.HTTP_STATUS, 0)]
)
def test_an_assertion_that_fails_is_told_apart(error: ErrorType, failed_by_it: int) -> None:
    assert of(failed(error))["probe_failed_due_to_regex"] == failed_by_it


def test_a_slow_check_is_a_success_and_its_status_says_more() -> None:
    found = of(answered(), thresholds=Thresholds(warning_ms=100))

    assert found["probe_success"] == 1
    assert found['uptimeo_monitor_status{status="degraded'] == 1
    assert found['uptimeo_monitor_status{status="up'] == 0


def test_a_check_that_says_nothing_about_its_target_has_a_status_and_no_result() -> None:
    found = of(failed(ErrorType.SKIPPED_OVERLOAD))

    assert found.pop("uptimeo_monitor_last_check_timestamp_seconds") == NOON.timestamp()
    assert {key for key, value in found.items() if value} == {
        'uptimeo_monitor_status{status="unknown'
    }
    assert not any(key.startswith("probe_") for key in found)


def test_a_ping_and_a_dns_check_have_their_own_phases() -> None:
    ping = of(result(phases=Phases(dns=4, wait=8), resolved_ip="2001:db8::1"), "ping")
    dns = of(result(phases=Phases(connect=1, tls=2, send=3, wait=4)), "dns")

    assert ping["probe_icmp_duration_seconds resolve"] == pytest.approx(0.004)
    assert ping["probe_icmp_duration_seconds rtt"] == pytest.approx(0.008)
    assert ping["probe_ip_protocol"] == 6
    assert dns["probe_dns_duration_seconds connect"] == pytest.approx(0.003)
    assert dns["probe_dns_duration_seconds request"] == pytest.approx(0.007)
    assert "probe_http_status_code" not in ping | dns


def test_a_certificate_that_is_no_news_expires_when_it_did_before() -> None:
    first = heartbeat(result=answered())
    seen = expiries(first, {})
    silent = heartbeat(result=answered(facts={}))
    plain = heartbeat(result=result())
    refused = heartbeat(result=failed())

    assert seen
    assert expiries(silent, seen) == seen
    assert expiries(refused, seen) == seen
    assert expiries(plain, seen) == {}


def test_the_chain_of_a_certificate_that_was_not_verified_has_no_expiry() -> None:
    facts = {"certificate": CERTIFICATE | {"chain_expires": None}}
    found = of(failed(ErrorType.TLS_EXPIRED, facts=facts))

    assert found["probe_ssl_earliest_cert_expiry"] == 1798761600
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in found


def test_every_value_belongs_to_a_family() -> None:
    keys = {key for family in FAMILIES for key in family.all_keys()}
    beats = [heartbeat(monitor=monitor(type=kind), result=answered()) for kind in ("http", "dns")]

    assert all(values(beat, expiries(beat, {})).keys() <= keys for beat in beats)

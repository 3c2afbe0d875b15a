"""What is kept of a probe's own phases and facts, and does PostgreSQL take it?"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import heartbeat, result
from uptimeo.domain.details import MAX_BYTES, FailedAttempt, details, storable_json
from uptimeo.domain.heartbeat import to_wire
from uptimeo.domain.result import ErrorType, Failure, Phase, Phases, ProbeResult

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def wire(**changes: Any) -> Any:
    return json.loads(to_wire(heartbeat(**changes))).get("details")


def test_a_plain_result_has_no_details() -> None:
    assert wire() is None


def test_own_phases_and_facts_travel_with_the_heartbeat() -> None:
    told = result(phases=Phases(dns=1.0, own={"login": 12.34567}), facts={"loss": 0.25})

    assert wire(result=told) == {"phases": {"login_ms": 12.346}, "loss": 0.25}


def test_failed_attempts_keep_their_reasons() -> None:
    failure = Failure(type=ErrorType.DNS, message="no\nname", phase=Phase.DNS)
    attempt = FailedAttempt(failure=failure, total_ms=3.0)

    assert wire(failed_attempts=(attempt,), lag_ms=31.5) == {
        "failed_attempts": [
            {
                "error_type": "dns_error",
                "error_message": "no\\nname",
                "failed_phase": "dns",
                "total_ms": 3.0,
            }
        ],
        "lag_ms": 31.5,
    }


def test_own_phases_take_part_in_the_sum() -> None:
    told = ProbeResult(total_ms=20.0, phases=Phases(dns=1.0, own={"login": 12.0}))

    assert told.phases.total() == 13.0
    assert told.other_ms == 7.0


@pytest.mark.parametrize("name", ["", "dns", "Login", "a-b", "elevenchars", "1st"])
def test_a_phase_of_ones_own_needs_a_name_that_is_free_and_short(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a phase"):
        Phases(own={name: 1.0})


def test_a_fact_cannot_take_a_name_of_the_agent() -> None:
    with pytest.raises(ValueError, match="'lag_ms'"):
        ProbeResult(total_ms=1.0, facts={"lag_ms": 1})


def test_a_failure_in_a_phase_of_ones_own_names_it() -> None:
    failure = Failure(type=ErrorType.UNEXPECTED, message="no", phase="login")

    assert json.loads(to_wire(heartbeat(result=result(failure=failure))))["failed_phase"] == "login"


def test_what_has_no_room_is_left_out_and_said_so() -> None:
    facts = {"small": 1, "large": ["x" * 500] * 50, "last": 2}

    assert details(Phases(), facts) == {"small": 1, "truncated": True, "last": 2}


@given(st.dictionaries(st.text(max_size=20), ANYTHING, max_size=20))
def test_whatever_the_facts_are_the_details_are_bounded_json(facts: dict[str, Any]) -> None:
    kept = details(Phases(), facts) or {}

    text = json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    assert len(text.encode("utf-8")) <= MAX_BYTES
    assert "\x00" not in str(kept)
    assert storable_json(kept) == kept

"""What may go when the spool is full."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from uptimeo.heartbeats.spooled import Spooled
from uptimeo.heartbeats.thinning import thin

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def rows(*beats: tuple[int, str, float]) -> list[Spooled]:
    """Heartbeats of (monitor, status, seconds after noon), in order of arrival."""
    return [
        Spooled(
            seq,
            json.dumps(
                {
                    "monitor_id": monitor,
                    "status": status,
                    "scheduled_at": (NOON + timedelta(seconds=second)).isoformat(),
                }
            ),
        )
        for seq, (monitor, status, second) in enumerate(beats)
    ]


def kept(beats: list[Spooled]) -> list[int]:
    gone = {row.seq for row in thin(beats)}
    return [row.seq for row in beats if row.seq not in gone]


def test_of_many_that_are_up_one_in_five_minutes_stays() -> None:
    assert kept(rows(*((1, "up", n * 60) for n in range(10)))) == [0, 5]


def test_monitors_are_thinned_apart() -> None:
    assert kept(rows((1, "up", 0), (2, "up", 1), (1, "up", 2), (2, "up", 3))) == [0, 1]


def test_the_change_back_to_up_stays() -> None:
    beats = rows((1, "up", 0), (1, "up", 1), (1, "down", 2), (1, "up", 3), (1, "up", 4))

    assert kept(beats) == [0, 2, 3]


def test_what_cannot_be_read_stays() -> None:
    beats = [Spooled(0, "{"), Spooled(1, "[]"), Spooled(2, '{"monitor_id": 1}')]

    assert kept(beats) == [0, 1, 2]


def test_what_is_damaged_stays_and_tells_nothing_about_its_neighbours() -> None:
    beats = rows(*((1, "up", n) for n in range(4)))
    beats[1] = Spooled(1, beats[1].body.replace("up", "dn"), sound=False)

    assert kept(beats) == [0, 1]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from(["up", "degraded", "down", "unknown"]),
            st.integers(0, 2000),
        )
    )
)
def test_every_failure_and_every_change_of_state_stays(beats: list[tuple[int, str, float]]) -> None:
    spooled = rows(*beats)

    stays = set(kept(spooled))

    last: dict[int, str] = {}
    for seq, (monitor, status, _) in enumerate(beats):
        if status != "up" or last.get(monitor) != status:
            assert seq in stays
        last[monitor] = status

"""A clock that is not to be believed drops nothing, and one that is right is believed again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import postgres
from uptimeo.domain.errors import FatalError
from uptimeo.storage import health
from uptimeo.storage.database import Connection
from uptimeo.storage.partitions import confirm, held, states

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEADY, NEAR, FAR = 72 * HOUR, 7 * DAY, 90 * DAY
YEARS = 5 * 365 * DAY
_OLD = "SELECT partitions_ensure('heartbeats', %s)"
_BELIEVED = "UPDATE retention_clock SET believed_at = %s"
_DROP = "SELECT outcome FROM partition_drop_expired('heartbeats', %s)"
_COUNT = "SELECT count(*) FROM partition_bounds('heartbeats')"
_SET_ASIDE = """
INSERT INTO api_heartbeats_set_aside (received_at, datacenter_id, reason, payload)
VALUES (%s, 1, 'odd', 'x')
"""


class Installation:
    """One that was seen to run until NOW, with partitions that are 33 to 41 days old then."""

    def __init__(self, driver: "psycopg.Connection[Any]") -> None:
        self._driver = driver
        driver.execute(_OLD, (NOW - 40 * DAY,))
        driver.execute(_SET_ASIDE, (NOW - 100 * DAY,))
        driver.execute(_BELIEVED, (NOW,))

    def one(self, query: str, *params: object) -> Any:
        row = self._driver.execute(query.encode(), params).fetchone()
        return None if row is None else row[0]

    def drop(self, now: datetime) -> str:
        return str(self.one(_DROP, now))

    def hourly(self, since: datetime, until: datetime) -> set[str]:
        """What retention was answered in that time, asked every hour."""
        hours = int((until - since) / HOUR)
        return {self.drop(since + n * HOUR) for n in range(hours + 1)}

    @property
    def partitions(self) -> int:
        return int(self.one(_COUNT))

    @property
    def still(self) -> timedelta | None:
        still: timedelta | None = self.one("SELECT still FROM retention_held()")
        return still

    @property
    def is_held(self) -> bool:
        return bool(self.one("SELECT count(*) FROM retention_held()"))


@pytest.fixture(scope="module")
def driver(maintenance: str, template: str) -> Iterator["psycopg.Connection[Any]"]:
    with postgres.database(maintenance, template) as conninfo, psycopg.connect(conninfo) as made:
        yield made


@pytest.fixture
def found(driver: "psycopg.Connection[Any]") -> Iterator[Installation]:
    yield Installation(driver)
    driver.rollback()


def test_a_clock_that_is_years_ahead_drops_nothing(found: Installation) -> None:
    before = found.partitions

    assert found.one("SELECT history_expire(%s)", NOW + YEARS) == 0
    assert found.drop(NOW + YEARS) == "held"
    assert found.partitions == before
    assert found.one("SELECT count(*) FROM api_heartbeats_set_aside") == 1


def test_it_drops_nothing_either_while_agents_go_on_at_that_time(found: Installation) -> None:
    false = NOW + YEARS
    found.one("SELECT partitions_ensure('heartbeats', %s)", false)

    assert found.hourly(false, false + 30 * DAY) == {"held"}
    assert found.still is None


def test_a_clock_that_was_put_right_is_believed_at_once(found: Installation) -> None:
    found.drop(NOW + YEARS)

    assert found.drop(NOW + HOUR) == "dropped"
    assert not found.is_held


@pytest.mark.parametrize(("ahead", "outcome"), [(NEAR, "dropped"), (NEAR + HOUR, "held")])
def test_a_week_without_agents_is_believed_and_no_more(
    found: Installation, ahead: timedelta, outcome: str
) -> None:
    assert found.drop(NOW + ahead) == outcome


def test_an_installation_that_was_off_for_weeks_drops_again_after_three_days(
    found: Installation,
) -> None:
    back = NOW + 21 * DAY

    assert found.hourly(back, back + STEADY - HOUR) == {"held"}
    assert found.still == HOUR
    assert found.drop(back + STEADY) == "dropped"
    assert not found.is_held


@pytest.mark.parametrize(
    ("ahead", "ends"), [(FAR - STEADY - HOUR, True), (FAR - STEADY, False), (FAR, False)]
)
def test_the_longest_absence_that_ends_by_itself_is_90_days(
    found: Installation, ahead: timedelta, *, ends: bool
) -> None:
    back = NOW + ahead

    assert ("dropped" in found.hourly(back, back + STEADY + DAY)) is ends


def test_time_that_nobody_saw_pass_is_no_steady_clock(found: Installation) -> None:
    back = NOW + 21 * DAY

    leaps = {found.drop(back + n * 2 * DAY) for n in range(30)}
    calls = {found.drop(back + 60 * DAY) for _ in range(100)}

    assert leaps | calls == {"held"}
    assert found.still == STEADY - 30 * 2 * HOUR


def test_a_clock_that_jumps_back_meanwhile_is_watched_from_the_start(found: Installation) -> None:
    back = NOW + 21 * DAY
    found.hourly(back, back + STEADY - HOUR)

    assert found.drop(back - DAY) == "held"
    assert found.still == STEADY


def test_a_clock_that_is_slewed_back_by_a_second_goes_on_being_watched(found: Installation) -> None:
    back = NOW + 21 * DAY
    found.hourly(back, back + STEADY - 2 * HOUR)

    found.drop(back + STEADY - 2 * HOUR - timedelta(seconds=1))

    assert found.still == 2 * HOUR


def test_time_that_is_told_twice_counts_once(found: Installation) -> None:
    back, minute = NOW + 21 * DAY, timedelta(minutes=1)

    for _ in range(100):
        found.drop(back - minute)
        found.drop(back + minute)

    assert found.still == STEADY - 2 * minute


def test_a_person_who_knows_the_day_is_believed(found: Installation) -> None:
    later = NOW + YEARS
    found.drop(later)

    found.one("SELECT retention_confirm(%s, %s)", later.date(), later)

    assert found.drop(later) == "dropped"


@pytest.mark.parametrize("days", [-2, 2, 365, None])
def test_a_person_who_knows_another_day_than_the_clock_is_not(
    found: Installation, days: int | None
) -> None:
    today = None if days is None else (NOW + days * DAY).date()

    with pytest.raises(psycopg.errors.CheckViolation, match=r"2026-03-01 12:00 \(UTC\), not"):
        found.one("SELECT retention_confirm(%s, %s)", today, NOW)


def test_a_clock_that_is_behind_drops_by_its_own_time_and_is_followed_in_the_end(
    found: Installation,
) -> None:
    long_ago = NOW - YEARS

    assert found.drop(long_ago) == "none"
    assert not found.is_held
    assert found.drop(NOW + HOUR) == "dropped"

    found.hourly(long_ago, long_ago + STEADY)
    assert found.one("SELECT believed_at FROM retention_clock") == long_ago + STEADY
    assert found.drop(NOW + HOUR) == "held"


def test_without_its_row_nothing_is_dropped(found: Installation) -> None:
    found.one("DELETE FROM retention_clock RETURNING 1")

    with pytest.raises(psycopg.errors.NoDataFound):
        found.drop(NOW)


async def test_an_operator_is_told_and_confirms(connection: Connection) -> None:
    sound = await states(connection), await held(connection), await health.retention(connection)
    await connection.execute("UPDATE retention_clock SET believed_at = now() - interval '1 year'")
    await connection.execute("SELECT history_expire()")
    state, *_ = await states(connection)
    hold, told = await held(connection), await health.retention(connection)

    assert sound[1:] == (None, None)
    assert sound[0][0].held_since is None
    assert hold == told
    assert hold is not None
    assert (hold.ahead.days, hold.still, hold.since) == (365, None, state.held_since)
    with pytest.raises(FatalError, match=r"the database's clock says .* not 2020-01-01"):
        await confirm(connection, datetime(2020, 1, 1, tzinfo=UTC).date())
    await confirm(connection, datetime.now(UTC).date())
    assert await held(connection) is None

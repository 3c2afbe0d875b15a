"""Do the tables put the worst first, fit the terminal, and say why?"""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from uptimeo.cli.tables import heartbeat_line, heartbeats_table, states_table
from uptimeo.domain.result import Phases
from uptimeo.storage.reports import MonitorState, StoredHeartbeat

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NASTY = "[red]pay\x1b[2J\nroll"
REFUSED = "connection refused by 203.0.113.20:443"
DASH = "\N{EN DASH}"


def heartbeat(
    name: str = "checkout",
    status: str = "up",
    *,
    ms: float | None = 120.0,
    message: str | None = None,
    age_s: float = 12,
    datacenter: str = "VA",
) -> StoredHeartbeat:
    moment = NOW - timedelta(seconds=age_s)
    return StoredHeartbeat(
        monitor_id=1,
        monitor=name,
        datacenter=datacenter,
        scheduled_at=moment,
        executed_at=moment,
        status=status,
        response_time_ms=ms,
        phases=Phases() if ms is None else Phases(dns=ms * 0.1, wait=ms * 0.8),
        status_code=None if message else 200,
        resolved_ip=None,
        error_type="connect_refused" if message else None,
        error_message=message,
        failed_phase="connect" if message else None,
    )


def monitor(
    name: str = "checkout",
    last: StoredHeartbeat | None = None,
    *,
    recent: tuple[str, ...] = ("up",) * 30,
    enabled: bool = True,
    datacenter: str = "VA",
    interval_s: int = 60,
    config_error: str | None = None,
) -> MonitorState:
    return MonitorState(
        monitor_id=hash(name),
        monitor=name,
        target="https://example.com",
        datacenter=datacenter,
        interval_s=interval_s,
        enabled=enabled,
        warning_ms=300,
        critical_ms=1000,
        last=last,
        recent=recent,
        config_error=config_error,
    )


def in_state(status: str, name: str | None = None, ms: float = 120.0) -> MonitorState:
    message = REFUSED if status in ("down", "unknown") else None
    return monitor(name or status, heartbeat(name or status, status, ms=ms, message=message))


def rendered(table: RenderableType, width: int = 80, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, force_terminal=False).print(table)
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


def fleet(healthy: int) -> list[MonitorState]:
    up = [in_state("up", f"service-{number:02}") for number in range(healthy)]
    return [*up, in_state("down"), in_state("degraded", ms=400.0)]


def test_a_monitor_is_one_line_and_its_reason_another() -> None:
    states = [in_state("down", "login"), in_state("degraded", "search", 434.0), in_state("up")]
    assert rendered(states_table(states, now=NOW)) == [
        "3 monitors in VA: 1 up, 1 degraded, 1 down                          03:04:05 UTC",
        "",
        "state       monitor     total  slowest                            recent     age",
        "✘ down      login      120 ms  wait 96          ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂    12 s",
        "            connection refused by 203.0.113.20:443",
        "▲ degraded  search     434 ms  wait 347         ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂    12 s",
        "            slower than 300 ms: wait 347 ms",
        "✔ up        up         120 ms  wait 96          ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂    12 s",
    ]


def test_the_worst_come_first_and_names_decide_between_equals() -> None:
    states = [
        monitor("off", heartbeat(), enabled=False),
        in_state("up", "b"),
        in_state("up", "A"),
        monitor("new", None, recent=()),
        in_state("degraded"),
        in_state("critical"),
        monitor("bad", heartbeat(), config_error="no schedule"),
        in_state("unknown"),
        in_state("down"),
    ]
    lines = rendered(states_table(states, now=NOW), width=160)[3:]
    assert [line.split()[1] for line in lines] == [
        *("down", "unknown", "invalid", "critical"),
        *("degraded", "pending", "up", "up", "disabled"),
    ]
    assert [line.split()[2] for line in lines[6:8]] == ["A", "b"]


def test_reasons_stand_beside_the_row_where_there_is_room() -> None:
    (row,) = rendered(states_table([in_state("down")], now=NOW), width=160)[3:]
    assert row.endswith(REFUSED)


def test_a_monitor_without_heartbeats_is_not_yet_checked() -> None:
    lines = rendered(states_table([monitor("new", None, recent=())], now=NOW))
    assert lines[0].startswith("1 monitor in VA: 1 pending")
    assert "not yet checked" in lines[-1]


def test_a_monitor_whose_heartbeats_stopped_is_told_as_late_and_first_among_equals() -> None:
    stale = monitor("z", heartbeat(age_s=900))
    lines = rendered(states_table([in_state("up", "a"), stale], now=NOW))
    assert lines[0].startswith("2 monitors in VA: 2 up, 1 late")
    assert lines[3].split()[2] == "z"
    assert lines[4].strip() == "last checked 15 min ago, but due every 60 s"


def test_a_row_that_cannot_be_used_says_why_and_is_never_late() -> None:
    states = [monitor("a", heartbeat(age_s=900), config_error="url: [red] names no host\n")]
    lines = rendered(states_table(states, now=NOW))
    assert lines[0].startswith("1 monitor in VA: 1 invalid  ")
    assert lines[4].strip() == "not checked: url: [red] names no host\\n"


def test_a_monitor_without_schedule_is_never_late() -> None:
    states = [monitor("a", heartbeat(age_s=900), interval_s=0)]
    assert rendered(states_table(states, now=NOW))[0].startswith("1 monitor in VA: 1 up  ")


def test_a_heartbeat_from_the_future_is_0_seconds_old() -> None:
    lines = rendered(states_table([monitor("a", heartbeat(age_s=-5))], now=NOW))
    assert lines[-1].endswith(" 0 s")


@pytest.mark.parametrize(
    ("age_s", "shown"), [(59, "59 s"), (60, "1 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_ages_are_told_in_the_largest_unit(age_s: int, shown: str) -> None:
    lines = rendered(states_table([monitor("a", heartbeat(age_s=age_s))], now=NOW))
    assert lines[3].endswith(f" {shown}")


def test_history_shows_each_status_by_height_the_latest_at_the_right() -> None:
    recent = ("up", "degraded", "critical", "down", "unknown", "up")
    states = [monitor("a", heartbeat(), recent=recent)]
    assert "▂▄▆█?▂    12 s" in rendered(states_table(states, now=NOW))[3]
    assert ".-=#?.    12 s" in rendered(states_table(states, now=NOW), encoding="ascii")[3]


@pytest.mark.parametrize("max_rows", [5, 10, 24, 40])
def test_the_view_never_takes_more_lines_than_allowed(max_rows: int) -> None:
    lines = rendered(states_table(fleet(healthy=58), now=NOW, max_rows=max_rows))
    assert len(lines) <= max_rows
    assert lines[0].startswith("60 monitors in VA: 58 up, 1 degraded, 1 down")


def test_what_does_not_fit_is_counted_by_state() -> None:
    short = rendered(states_table(fleet(healthy=58), now=NOW, max_rows=40))
    assert len(short) == 40
    assert short[-1] == "… and 26 more, all up"
    shorter = rendered(states_table(fleet(healthy=58), now=NOW, max_rows=6))
    assert shorter[-1] == "… and 59 more: 58 up, 1 degraded"


def test_nothing_is_left_out_when_all_fit_exactly() -> None:
    states = fleet(healthy=3)
    exact = len(rendered(states_table(states, now=NOW)))
    lines = rendered(states_table(states, now=NOW, max_rows=exact))
    assert "more" not in lines[-1]


def test_the_datacenter_is_a_column_only_where_there_are_several() -> None:
    here, there = monitor("a", heartbeat()), monitor("a", heartbeat(), datacenter="FRA-2")
    assert " dc " not in rendered(states_table([here], now=NOW))[2]
    lines = rendered(states_table([here, there], now=NOW))
    assert lines[0].startswith("1 monitor in 2 datacenters: 2 up")
    assert " dc " in lines[2]
    assert [line.split()[3] for line in lines[3:]] == ["FRA-2", "VA"]


def test_no_monitors_are_said_to_be_none() -> None:
    assert rendered(states_table([], now=NOW)) == [
        "No monitors.                                                        03:04:05 UTC"
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_console(width: int, encoding: str) -> None:
    names = ["x" * 100, "支付网关" * 20, NASTY]
    states = [in_state("down", name, ms=123_456.0) for name in names]
    beats = [state.last for state in states if state.last]
    for table in (states_table(states, now=NOW), heartbeats_table(beats)):
        lines = rendered(table, width, encoding)
        assert max(map(cell_len, lines)) <= width


def test_texts_from_outside_are_neither_markup_nor_control_characters() -> None:
    last = heartbeat(NASTY, "down", message=NASTY)
    shown = "[red]pay\\x1b[2J\\nroll"
    row, reason = rendered(states_table([monitor(NASTY, last)], now=NOW))[3:]
    assert shown in row
    assert reason.strip() == shown
    assert shown in rendered(heartbeats_table([last]))[3]
    assert heartbeat_line(last).plain.count(shown) == 2


def test_heartbeats_are_shown_in_the_order_given_with_their_reasons() -> None:
    beats = [heartbeat("b", "down", message=REFUSED), heartbeat("a")]
    assert rendered(heartbeats_table(beats)) == [
        "2 heartbeats on 2026-01-02, times in UTC",
        "",
        "time      state       monitor     total  slowest          code",
        f"03:03:53  ✘ down      b          120 ms  wait 96             {DASH}",
        "          connection refused by 203.0.113.20:443",
        "03:03:53  ✔ up        a          120 ms  wait 96           200",
    ]


def test_heartbeats_of_several_days_carry_the_date() -> None:
    lines = rendered(heartbeats_table([heartbeat(), heartbeat(age_s=86_400)]))
    assert lines[0] == "2 heartbeats, times in UTC"
    assert [line[:19] for line in lines[3:]] == ["2026-01-02 03:03:53", "2026-01-01 03:04:05"]


def test_no_heartbeats_are_said_to_be_none() -> None:
    assert rendered(heartbeats_table([])) == ["No heartbeats."]


def test_a_heartbeat_is_one_line_of_a_log() -> None:
    up = heartbeat_line(heartbeat()).plain
    assert up.split() == [
        *("2026-01-02", "03:03:53Z", "VA", "✔", "up", "checkout"),
        *("120", "ms", "wait", "96", "200"),
    ]
    down = heartbeat_line(heartbeat(status="down", ms=None, message=REFUSED), ascii_only=True)
    assert down.plain.isascii()
    assert down.plain.endswith(f"-  {REFUSED}")
    assert down.plain.index("checkout") == up.index("checkout")


def test_an_unforeseen_status_looks_like_unknown_and_breaks_nothing() -> None:
    strange = heartbeat("a", "on fire")
    lines = rendered(states_table([monitor("a", strange, recent=("on fire",))], now=NOW))
    assert lines[3].startswith("? unknown")
    assert "? on fire" in rendered(heartbeats_table([strange]))[3]

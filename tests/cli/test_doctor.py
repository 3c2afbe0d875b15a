"""`uptimeo doctor`: what is wrong comes first, fits 80 columns, and gives the exit code."""

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.commands import ran
from tests.support.doctor import database, host, sound, spool
from uptimeo.cli.doctor import doctor
from uptimeo.cli.doctor_report import doctor_report
from uptimeo.doctor import facts
from uptimeo.doctor.judging import judged
from uptimeo.domain.finding import Finding


def shown(findings: list[Finding], width: int = 80, encoding: str = "utf-8") -> list[str]:
    """The lines on a screen of that width."""
    screen = TextIOWrapper(BytesIO(), encoding=encoding)
    console = Console(file=screen, width=width)
    console.print(doctor_report("db.example:5432/uptimeo", findings))
    screen.seek(0)
    return screen.read().splitlines()


def unwell() -> list[Finding]:
    """Something of each condition, with long texts and foreign ones."""
    rows = facts.RowsHere(rows=1, references=0, faults={"4 (\x1b[2Jäöü)": "url: " + "long " * 60})
    hidden = facts.Unseen("ann may not see it (permission denied for table agent_instances)")
    return judged(
        sound(
            database_=database(rows=rows, agents=hidden, overlaps=hidden, notices=False),
            host_=host(spool=spool(error="No space left on device")),
        )
    )


def test_what_is_critical_comes_first_then_warnings_then_the_good_then_the_unseen() -> None:
    lines = shown(unwell())
    heads = [line for line in lines if line[:1] in "✘▲✔?" and line]

    assert [line[0] for line in heads] == sorted((line[0] for line in heads), key="✘▲✔?".index)
    assert lines[0] == "db.example:5432/uptimeo"
    assert lines[2:5] == [
        "✘ CRITICAL  spool",
        "  /var/lib/u/spool cannot be written: No space left on device",
        "  > make room, give the agent's user the directory, or set UPTIMEO_DATA_DIR",
    ]
    assert lines[-1] == "1 critical, 2 warning, 33 ok, 3 not seen"


def test_what_one_reason_hides_is_told_together() -> None:
    text = "\n".join(shown(unwell()))

    assert "? not seen: counted overlaps, agents, peers\n  ann may not see it" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    assert max(len(line) for line in shown(unwell(), width)) <= width


def test_foreign_text_moves_no_cursor_and_a_plain_terminal_gets_plain_text() -> None:
    assert "\x1b" not in "".join(shown(unwell()))
    assert "".join(shown(unwell(), encoding="ascii")).isascii()


def test_a_sound_installation_gives_0_and_says_so(conninfo: str) -> None:
    done = ran(doctor, dsn=conninfo, DATACENTER_ID="")

    assert done.exit_code == 0, done.output
    assert "0 critical, 0 warning" in done.stdout


def test_json_is_one_object_with_stable_names(conninfo: str, tmp_path: Path) -> None:
    done = ran(
        doctor, "--json", dsn=conninfo, DATACENTER_ID="1", UPTIMEO_DATA_DIR=str(tmp_path / "d")
    )
    told = json.loads(done.stdout)

    assert done.exit_code == 1
    assert set(told) == {"database", "condition", "counts", "findings"}
    assert told["condition"] == "warning"
    assert set(told["counts"]) == {"ok", "warning", "critical", "unknown"}
    assert sum(told["counts"].values()) == len(told["findings"])
    assert {tuple(each) for each in told["findings"]} == {
        ("examination", "condition", "what", "value", "advice")
    }
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"dsn": ""}, "there is no database"),
        ({"dsn": "nonsense"}, "expected: a libpq URI"),
        ({"dsn": "postgresql://u:geheim@127.0.0.1:1/x"}, "Connection refused"),
        ({"dsn": "", "DB_CONN_STRING_FILE": "/nowhere/at/all"}, "cannot be read"),
        ({"dsn": "host=127.0.0.1 port=1", "DATACENTER_ID": "x"}, "DATACENTER_ID: 'x' is wrong"),
    ],
)
def test_what_keeps_it_from_the_database_is_a_critical_finding(
    variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    nowhere = {"UPTIMEO_DATA_DIR": str(tmp_path)}
    done = ran(doctor, **(nowhere | variables))

    assert done.exit_code == 2
    assert words in " ".join(done.stdout.split())
    assert "✘ CRITICAL" in done.stdout
    assert "geheim" not in done.output

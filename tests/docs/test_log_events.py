"""Does `docs/operations.md` explain each event of the log that should alarm, and no other?"""

import re

import pytest

from tests.docs import log_events
from tests.docs.log_events import ALERTABLE, SOURCE

PAGE = log_events.PAGE.read_text("utf-8")
EXPLAINED = log_events.explained(PAGE)


def test_every_event_that_should_alarm_has_its_row_and_its_level() -> None:
    written = {(name, level) for name, level in log_events.written() if level in ALERTABLE}

    assert written == {(name, level) for name, (level, _) in EXPLAINED.items()}


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_row_has_meaning_cause_and_action(name: str) -> None:
    _, cells = EXPLAINED[name]

    assert len(cells) == 3
    assert all(cells)


def test_an_event_stands_in_the_table_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:warning|error|critical) \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(set(rows))


def test_only_the_package_of_the_log_writes_to_it() -> None:
    elsewhere = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if file.parent.name != "telemetry" and list(log_events.events(file.read_text("utf-8")))
    ]

    assert elsewhere == []


def test_a_new_event_would_be_seen() -> None:
    text = "class Log:\n    def full(self):\n        self._logger.error('disk_full', message='m')\n"

    assert list(log_events.events(text)) == [("disk_full", "error")]


def test_an_event_whose_name_is_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(log_events.events("self._logger.error(name)"))

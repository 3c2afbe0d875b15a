"""Are the files what their source says, do they fit Grafana's schema, and does all in them lead
somewhere?
"""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.dashboards.pages import FOLDER, PAGES, ROOT, text
from tests.dashboards.panels import POSTGRESQL, PROMETHEUS, STATES, WIDTH, Json, Page
from tests.dashboards.schema import complaints
from uptimeo.domain.verdict import Status

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
NAMES = list(PAGES)
BY_UID = {page.uid: page for page in PAGES.values()}
_LINK = re.compile(r"/d/([\w-]+)/\?(.*)")
_FIELD = re.compile(r"\$\{__data\.fields\.(\w+)(?::\w+)?\}")


def written(name: str) -> Json:
    """What stands in the file."""
    found: Json = json.loads((FOLDER / name).read_text("utf-8"))
    return found


def panels(dashboard: Json) -> list[Json]:
    return [each for each in dashboard["panels"] if each["type"] != "row"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_its_source_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == text(PAGES[name]), "python -m tests.dashboards"


def test_there_is_no_other_file() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_fits_the_schema(name: str) -> None:
    assert complaints(written(name)) == []


def _rename(dashboard: Json) -> None:
    dashboard["titel"] = dashboard.pop("title")


def _misspell(dashboard: Json) -> None:
    panels(dashboard)[0]["options"]["textMode"] = "big"


def _widen(dashboard: Json) -> None:
    panels(dashboard)[1]["gridPos"]["w"] = "24"


def _override(dashboard: Json) -> None:
    override = panels(dashboard)[2]["fieldConfig"]["overrides"][1]
    override["properties"].append({"id": "custom.wdth", "value": 3})


def _transform(dashboard: Json) -> None:
    panels(dashboard)[4]["transformations"][0]["optoins"] = {}


def _unask(dashboard: Json) -> None:
    del panels(dashboard)[1]["targets"][0]["rawSql"]


@pytest.mark.parametrize("spoil", [_rename, _misspell, _widen, _override, _transform, _unask])
def test_a_dashboard_that_does_not_fit_would_be_seen(spoil: Callable[[Json], None]) -> None:
    dashboard = copy.deepcopy(written("postgresql-overview.json"))
    spoil(dashboard)

    assert complaints(dashboard) != []


def test_addresses_stay_as_they_are() -> None:
    assert set(BY_UID) == {
        "uptimeo-overview",
        "uptimeo-monitor",
        "uptimeo-agents",
        "uptimeo-sla",
        "uptimeo-prometheus-overview",
        "uptimeo-prometheus-monitor",
        "uptimeo-prometheus-agents",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows_and_what_an_empty_one_means(name: str) -> None:
    for panel in panels(written(name)):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_empty_table_says_does_not_stand_in_its_empty_cells(name: str) -> None:
    for panel in panels(written(name)):
        if panel["type"] == "table":
            first = panel["fieldConfig"]["overrides"][0]
            assert first["matcher"] == {"id": "byRegexp", "options": "/.*/"}
            assert first["properties"] == [{"id": "noValue", "value": ""}]


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in written(name)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= WIDTH, panel["title"]
        taken |= cells


@pytest.mark.parametrize("page", PAGES.values(), ids=NAMES)
def test_every_link_leads_to_a_page_that_takes_what_it_brings(page: Page) -> None:
    for panel in page.panels():
        for column in panel.columns.values():
            if column.link is None:
                continue
            found = _LINK.fullmatch(column.link)
            assert found, column.link
            brought = set(re.findall(r"var-(\w+)=|\$\{(\w+):queryparam\}", found[2]))
            known = {each.name for each in BY_UID[found[1]].variables}
            assert {a or b for a, b in brought} <= known
            assert set(_FIELD.findall(found[2])) <= set(panel.columns), panel.title


def test_every_status_has_a_colour_of_its_own_and_its_name_beside_it() -> None:
    statuses = [each.value for each in Status]

    assert set(statuses) <= set(STATES)
    assert len({STATES[name] for name in statuses}) == len(statuses)


def test_the_sources_that_are_provided_are_those_that_the_dashboards_name() -> None:
    given: Any = yaml.safe_load((PROVISIONING / "datasources" / "uptimeo.yml").read_text())
    found = {(each["type"], each["uid"]) for each in given["datasources"]}

    assert found == {(each.type, each.uid) for each in (POSTGRESQL, PROMETHEUS)}


def test_no_password_stands_in_what_is_provided() -> None:
    given: Any = yaml.safe_load((PROVISIONING / "datasources" / "uptimeo.yml").read_text())
    secrets = [each["secureJsonData"] for each in given["datasources"] if "secureJsonData" in each]

    assert secrets == [{"password": "$__file{/run/secrets/uptimeo_grafana_password}"}]

"""Do the expressions of dashboards and alerts ask for what an agent says, and does each answer?"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards import promtool
from tests.dashboards.pages import PAGES, ROOT
from tests.dashboards.panels import PROMETHEUS, Panel
from tests.dashboards.promtool import needs_promtool

FOLDER = ROOT / "deploy" / "prometheus"
ALERTS = FOLDER / "alerts.yml"
PAGE = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
OPERATIONS = ROOT / "docs" / "operations.md"
PANELS: list[Panel] = [
    panel for page in PAGES.values() if page.source is PROMETHEUS for panel in page.panels()
]
# Of which there is none in an agent that is in order.
MAY_BE_EMPTY = {"Not up"}
_LEGEND = re.compile(r"\{\{(\w+)\}\}")
_CHOSEN = {"$datacenter": ".*", "$monitor": ".*", "$__rate_interval": "5m"}


def asked(text: str) -> str:
    """As Prometheus gets it."""
    for name, value in _CHOSEN.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]


def expressions() -> list[str]:
    return [asked(query.text) for panel in PANELS for query in panel.queries]


async def test_panels_and_alerts_ask_for_metrics_and_labels_that_an_agent_writes() -> None:
    known = await promtool.series()
    # What Prometheus writes of each scrape by itself.
    alerts = [rule["expr"].replace('up{job="uptimeo"}', "1") for rule in rules()]

    strange = {text: promtool.strange(text, known) for text in (*expressions(), *alerts)}

    assert {text: found for text, found in strange.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sum(uptimeo_leaders)", ["uptimeo_leaders"]),
        ('uptimeo_leader{place="VA"}', ["place"]),
        ("sum by (phase) (uptimeo_leader)", ["phase"]),
        ("sum by (datacenter) (uptimeo_leader)", []),
    ],
)
async def test_what_no_agent_writes_would_be_seen(text: str, found: list[str]) -> None:
    assert promtool.strange(text, await promtool.series()) == found


@needs_promtool
async def test_every_panel_over_prometheus_answers_with_something(tmp_path: Path) -> None:
    silent = promtool.empty(expressions(), await promtool.series(), tmp_path)

    assert {
        panel.title for panel in PANELS for query in panel.queries if asked(query.text) in silent
    } <= MAY_BE_EMPTY


@needs_promtool
async def test_an_expression_that_answers_nothing_would_be_seen(tmp_path: Path) -> None:
    expressions = ["uptimeo_leader == 1", "uptimeo_leader == 7"]

    silent = promtool.empty(expressions, await promtool.series(), tmp_path)

    assert silent == {"uptimeo_leader == 7"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
async def test_legends_and_columns_are_of_labels_that_are_kept(panel: Panel) -> None:
    for query in panel.queries:
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.text))))
        if query.legend is not None and "process_" not in query.text:
            assert set(_LEGEND.findall(query.legend)) <= kept
    if panel.kind == "table" and not any("Matrix" in each["id"] for each in panel.transformations):
        named = {name for name in panel.columns if not name.startswith("Value")}
        assert named <= kept | {"version", "agent", "datacenter"}


@needs_promtool
def test_promtool_takes_the_alerts() -> None:
    checked = promtool.run("check", "rules", "--lint=all", "--lint-fatal", ALERTS)

    assert checked.returncode == 0, checked.stdout


@needs_promtool
def test_alerts_fire_when_they_should_and_else_not() -> None:
    tested = promtool.run("test", "rules", FOLDER / "alerts_test.yml")

    assert tested.returncode == 0, tested.stdout


def test_every_alert_is_seen_to_fire() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {
        name
        for test in tests
        for each in test["promql_expr_test"]
        for sample in each["exp_samples"]
        for name in re.findall(r'alertname="(\w+)",alertstate="firing"', sample["labels"])
    }

    assert fired == {rule["alert"] for rule in rules()}


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in rules():
        name, words = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert words["summary"], name
        assert words["description"].endswith("."), name
        assert words["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_the_page_lists_the_alerts_that_there_are() -> None:
    listed = re.findall(r"^\| `(UptimeO\w+)` \| (\w+) \| ([^|]*) \|", PAGE, re.MULTILINE)

    assert [(name, severity, after.strip()) for name, severity, after in listed] == [
        (rule["alert"], rule["labels"]["severity"], rule.get("for", "at once")) for rule in rules()
    ]


@pytest.mark.skipif(not OPERATIONS.exists(), reason="there is no docs/operations.md")
def test_every_alert_has_a_heading_in_the_operations_handbook() -> None:
    headings = re.findall(r"^#+ (UptimeO\w+)$", OPERATIONS.read_text("utf-8"), re.MULTILINE)

    assert {rule["alert"] for rule in rules()} <= set(headings)

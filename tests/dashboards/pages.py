"""Which pages are there, and in which files?"""

import json
from pathlib import Path

from tests.dashboards import (
    postgresql_agents,
    postgresql_monitor,
    postgresql_overview,
    postgresql_sla,
    prometheus_agents,
    prometheus_monitor,
    prometheus_overview,
)
from tests.dashboards.panels import Page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
PAGES = {
    "postgresql-overview.json": postgresql_overview.PAGE,
    "postgresql-monitor.json": postgresql_monitor.PAGE,
    "postgresql-agents.json": postgresql_agents.PAGE,
    "postgresql-sla.json": postgresql_sla.PAGE,
    "prometheus-overview.json": prometheus_overview.PAGE,
    "prometheus-monitor.json": prometheus_monitor.PAGE,
    "prometheus-agents.json": prometheus_agents.PAGE,
}


def text(page: Page) -> str:
    """As it stands in its file."""
    return json.dumps(page.json(), indent=2, ensure_ascii=False) + "\n"

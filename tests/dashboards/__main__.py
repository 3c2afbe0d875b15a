"""Writes `deploy/grafana/dashboards/*.json` anew: `python -m tests.dashboards`."""

from tests.dashboards.pages import FOLDER, PAGES, text

FOLDER.mkdir(parents=True, exist_ok=True)
for name, page in PAGES.items():
    (FOLDER / name).write_text(text(page), "utf-8")

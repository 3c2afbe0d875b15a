"""How are panels said in few words, and put into the JSON that Grafana reads?

Panels are told their size; `page` places them from left to right, row by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]

# Far enough apart in lightness that they differ without their hue; a word stands beside each.
GREEN, YELLOW, ORANGE, RED = "#2f9e6e", "#e8c547", "#d9730d", "#a5123b"
GREY, BLUE, VIOLET = "#8a8f98", "#3b6fb6", "#6b4ea0"
STATES: Mapping[str, str] = {
    "up": GREEN,
    "degraded": YELLOW,
    "critical": ORANGE,
    "down": RED,
    "unknown": VIOLET,
    "pending": GREY,
    "disabled": GREY,
    "invalid": VIOLET,
    "leads": GREEN,
    "stands by": BLUE,
    "silent": RED,
}
# What a timeline shows of a stretch of time: SQL and PromQL give the number.
TIMELINE = ("up", "degraded", "critical", "down", "unknown", "no leader", "maintenance", "no check")
# From the lookup of the name to the last byte.
PHASES: Mapping[str, str] = {
    "redirect": GREY,
    "dns": "#8f7fc7",
    "connect": "#3b6fb6",
    "tls": "#5aa9c9",
    "send": "#c9b458",
    "wait": "#d9730d",
    "transfer": "#2f9e6e",
}
_TIMELINE_COLOURS = (GREEN, YELLOW, ORANGE, RED, VIOLET, "#26282e", BLUE, GREY)
WIDTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data source by its fixed uid."""

    type: str
    uid: str

    def json(self) -> Json:
        return {"type": self.type, "uid": self.uid}


POSTGRESQL = Source(type="grafana-postgresql-datasource", uid="uptimeo-postgresql")
PROMETHEUS = Source(type="prometheus", uid="uptimeo-prometheus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How a field is shown; `link` is a URL, `steps` are thresholds, `words` what values say."""

    title: str | None = None
    unit: str | None = None
    decimals: int | None = None
    width: int | None = None
    link: str | None = None
    steps: Sequence[tuple[float | None, str]] = ()
    states: bool = False
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    empty: str | None = None
    colour: str | None = None

    def properties(self, *, cells: bool = True) -> list[Json]:
        """As an override has them; `custom.` is of tables."""
        plain = {
            "displayName": self.title,
            "unit": self.unit,
            "decimals": self.decimals,
            "custom.width": self.width,
            "noValue": self.empty,
        }
        found = {name: value for name, value in plain.items() if value is not None}
        return [
            {"id": name, "value": value}
            for name, value in (found | self._coloured()).items()
            if cells or not name.startswith("custom.")
        ]

    def _coloured(self) -> Json:
        found: Json = {}
        if self.link is not None:
            found["links"] = [{"title": "Open its page", "url": self.link}]
        if self.colour is not None:
            found["color"] = {"mode": "fixed", "fixedColor": self.colour}
        if self.steps:
            found["thresholds"] = thresholds(self.steps)
            found["custom.cellOptions"] = {"type": "color-text"}
            found["color"] = {"mode": "thresholds"}
        words = {name: (name, colour) for name, colour in STATES.items()} if self.states else {}
        if said := words | dict(self.words):
            found["mappings"] = [_words(said)]
            found["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """SQL or PromQL; PromQL is asked for one moment unless it is a `series`."""

    text: str
    series: bool = False
    legend: str | None = None

    def target(self, source: Source, ref: str) -> Json:
        """As a panel has it."""
        found: Json = {"refId": ref, "datasource": source.json(), "editorMode": "code"}
        if source is POSTGRESQL:
            shape = "time_series" if self.series else "table"
            return found | {"rawQuery": True, "rawSql": self.text, "format": shape}
        kind = {"range": self.series, "instant": not self.series}
        shape = "time_series" if self.series else "table"
        legend = {"legendFormat": self.legend} if self.legend else {}
        return found | kind | legend | {"expr": self.text, "format": shape}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: what it says, how it is drawn, and the fields its query must answer with."""

    kind: str
    title: str
    about: str
    queries: Sequence[Query]
    width: int
    height: int
    options: Json
    defaults: Json = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    transformations: Sequence[Json] = ()
    interval: str | None = None
    points: int | None = None

    def json(self, source: Source) -> Json:
        """Without its place."""
        found: Json = {
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": source.json(),
            "targets": [
                query.target(source, chr(ord("A") + n)) for n, query in enumerate(self.queries)
            ],
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": self._overrides()},
        }
        if self.transformations:
            found["transformations"] = list(self.transformations)
        if self.interval is not None:
            found["interval"] = self.interval
        if self.points is not None:
            found["maxDataPoints"] = self.points
        return found

    def _overrides(self) -> list[Json]:
        named = [
            _override("byName", name, column.properties(cells=self.kind == "table"))
            for name, column in self.columns.items()
        ]
        # What is said of a table without rows would else stand in each cell without a value.
        blank = _override("byRegexp", "/.*/", [{"id": "noValue", "value": ""}])
        return [blank, *named] if self.kind == "table" else named


def _override(matcher: str, name: str, properties: list[Json]) -> Json:
    return {"matcher": {"id": matcher, "options": name}, "properties": properties}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a page: `query` answers with the choices, or `choices` are fixed."""

    name: str
    label: str
    about: str
    query: str | None = None
    choices: Sequence[tuple[str, str]] = ()
    several: bool = False

    def json(self, source: Source) -> Json:
        found: Json = {"name": self.name, "label": self.label, "description": self.about}
        if self.query is None:
            text, value = self.choices[0]
            return found | {
                "type": "custom",
                "query": ", ".join(f"{text} : {value}" for text, value in self.choices),
                "current": {"text": text, "value": value},
                "options": [
                    {"text": text, "value": value, "selected": n == 0}
                    for n, (text, value) in enumerate(self.choices)
                ],
            }
        asked: str | Json = self.query
        if source is PROMETHEUS:
            asked = {"query": self.query, "refId": self.name}
        found |= {
            "type": "query",
            "datasource": source.json(),
            "query": asked,
            "definition": self.query,
            "refresh": 2,
            "sort": 0,
            "multi": self.several,
            "includeAll": self.several,
        }
        return found | ({"current": {"text": "All", "value": ["$__all"]}} if self.several else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A dashboard. `uid` is for ever: links and bookmarks name it."""

    uid: str
    title: str
    about: str
    source: Source
    since: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variables: Sequence[Variable] = ()
    annotations: Sequence[Json] = ()
    refresh: str = "1m"

    def json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["uptimeo"],
            "timezone": "browser",
            "editable": True,
            "graphTooltip": 1,
            "schemaVersion": 42,
            "refresh": self.refresh,
            "time": {"from": self.since, "to": "now"},
            "links": [_LINKS],
            "templating": {"list": [each.json(self.source) for each in self.variables]},
            "annotations": {"list": list(self.annotations)},
            "panels": list(_placed(self.rows, self.source)),
        }

    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for _, panels in self.rows for panel in panels]


_LINKS: Json = {
    "type": "dashboards",
    "title": "UptimeO",
    "tags": ["uptimeo"],
    "asDropdown": True,
    "keepTime": True,
    "includeVars": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "The other pages",
    "url": "",
}


def _placed(rows: Sequence[tuple[str, Sequence[Panel]]], source: Source) -> list[Json]:
    found: list[Json] = []
    top = 0
    for title, panels in rows:
        at = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        row = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": at}
        found.append({"id": len(found) + 1} | row)
        top, left, tallest = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left, tallest = top + tallest, 0, 0
            at = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            found.append({"id": len(found) + 1, "gridPos": at} | panel.json(source))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return found


def thresholds(steps: Sequence[tuple[float | None, str]]) -> Json:
    """From that value on, that colour; the first has no value."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }


def _words(words: Mapping[str, tuple[str, str]]) -> Json:
    return {
        "type": "value",
        "options": {
            value: {"text": text, "color": colour, "index": n}
            for n, (value, (text, colour)) in enumerate(words.items())
        },
    }


def stats(
    title: str,
    about: str,
    *queries: Query,
    columns: Mapping[str, Column],
    width: int = WIDTH,
    empty: str = "nothing yet",
) -> Panel:
    """Large figures, one for each field of a single row."""
    return Panel(
        kind="stat",
        title=title,
        about=about,
        queries=queries,
        width=width,
        height=4,
        columns=columns,
        defaults={
            "noValue": empty,
            "color": {"mode": "thresholds"},
            "thresholds": thresholds([(None, BLUE)]),
        },
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "vertical",
            "textMode": "value_and_name",
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
        },
    )


def table(
    title: str,
    about: str,
    *queries: Query,
    columns: Mapping[str, Column],
    width: int = WIDTH,
    height: int = 9,
    empty: str = "none",
    transformations: Sequence[Json] = (),
) -> Panel:
    """Rows and columns."""
    return Panel(
        kind="table",
        title=title,
        about=about,
        queries=queries,
        width=width,
        height=height,
        columns=columns,
        transformations=transformations,
        defaults={
            "noValue": empty,
            "custom": {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}},
        },
        options={"showHeader": True, "cellHeight": "sm"},
    )


def matrix(
    title: str,
    about: str,
    query: Query,
    *,
    row: str,
    column: str,
    value: str,
    cell: Column,
    height: int = 10,
    width: int = WIDTH,
    empty: str = "none",
) -> Panel:
    """A table with a row for each value of one field, and a column for each of another."""
    grid = {"rowField": row, "columnField": column, "valueField": value, "emptyValue": "empty"}
    panel = table(
        title,
        about,
        query,
        columns={rf"{row}\{column}": Column(title=row.capitalize(), width=220)},
        width=width,
        height=height,
        empty=empty,
        transformations=[{"id": "groupingToMatrix", "options": grid}],
    )
    said = {each["id"]: each["value"] for each in cell.properties()}
    custom = {name.removeprefix("custom."): said.pop(name) for name in [*said] if "custom." in name}
    return replace(
        panel, defaults=panel.defaults | said | {"custom": panel.defaults["custom"] | custom}
    )


def _pace(queries: Sequence[Query]) -> Json:
    """SQL is asked for no more stretches than are worth their time; Prometheus has its own pace."""
    return {"interval": "5m", "points": 120} if queries[0].legend is None else {}


def lines(
    title: str,
    about: str,
    *queries: Query,
    unit: str,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
    empty: str = "nothing in this time",
    low: float | None = 0,
    high: float | None = None,
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """Values over time, one line (or bar) for each series; `colours` are of series by name."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars or stacked else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": "palette-classic-by-name"},
        "custom": custom,
    }
    defaults |= {"min": low} if low is not None else {}
    defaults |= {"max": high} if high is not None else {}
    return Panel(
        kind="timeseries",
        title=title,
        about=about,
        queries=queries,
        width=width,
        height=height,
        **_pace(queries),
        defaults=defaults,
        columns={name: Column(colour=colour) for name, colour in (colours or {}).items()},
        options={
            "legend": {
                "showLegend": True,
                "displayMode": "list",
                "placement": "bottom",
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def timeline(
    title: str,
    about: str,
    *queries: Query,
    width: int = WIDTH,
    height: int = 6,
    words: Mapping[str, tuple[str, str]] | None = None,
    transformations: Sequence[Json] = (),
) -> Panel:
    """What was so when, as a coloured strip with words; by default numbers of TIMELINE."""
    shown = words
    if shown is None:
        shown = {str(n): (name, _TIMELINE_COLOURS[n]) for n, name in enumerate(TIMELINE)}
    mapped = {"mappings": [_words(shown)]} if shown else {}
    return Panel(
        kind="state-timeline",
        title=title,
        about=about,
        queries=queries,
        width=width,
        height=height,
        **_pace(queries),
        transformations=transformations,
        defaults={
            "noValue": "nothing in this time",
            "color": {"mode": "thresholds" if shown else "palette-classic"},
            "thresholds": thresholds([(None, GREY)]),
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        }
        | mapped,
        options={
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "center",
            "rowHeight": 0.85,
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )

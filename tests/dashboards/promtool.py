"""How is PromQL tried without a Prometheus? With promtool, on the series that an agent writes."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.docs import metrics
from tests.support import programs

PROMTOOL = programs.find("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)"
)
# What Prometheus adds to whatever it scrapes.
SCRAPED = {"instance": "127.0.0.1:9464", "job": "uptimeo"}
_SELECTOR = re.compile(r"\b((?:uptimeo|probe|process)_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|ignoring) \(([^)]*)\)")
_FAILED = re.compile(r'expr: "(.*)", time')


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One that an agent writes."""

    name: str
    labels: Mapping[str, str]
    value: float
    counts: bool

    def notation(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in {**self.labels, **SCRAPED}.items())
        return f"{self.name}{{{labels}}}"


async def series() -> list[Series]:
    """Those of an agent with a monitor of each type, from what it really writes."""
    text = metrics.of_monitors() + metrics.of_the_agent(await metrics.calibrated())
    return [
        Series(
            name=sample.name,
            labels=sample.labels,
            value=sample.value,
            counts=family.type in ("counter", "histogram"),
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def strange(expression: str, known: Sequence[Series]) -> list[str]:
    """Names and labels in it that no series has."""
    labels: dict[str, set[str]] = {}
    for each in known:
        labels.setdefault(each.name, set(SCRAPED)).update(each.labels)
    found = []
    used: set[str] = set()
    for name, matchers in _SELECTOR.findall(expression):
        asked = set(_LABEL.findall(matchers))
        found += [name] if name not in labels else sorted(asked - labels[name])
        used |= labels.get(name, set())
    grouped = set(re.findall(r"\w+", " ".join(_GROUPED.findall(expression))))
    return found + sorted(grouped - used - {"alertname"})


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """promtool with these arguments; what it printed is in `stdout`."""
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def empty(expressions: Iterable[str], known: Iterable[Series], folder: Path) -> set[str]:
    """Those that answer with nothing half an hour after the series began.

    Raises AssertionError if promtool cannot read one. Each is expected to answer with nothing,
    and promtool complains of those that do not.
    """
    wanted = list(expressions)
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [
            {
                "series": each.notation(),
                "values": "0+1x40" if each.counts else f"{each.value:g}x40",
            }
            for each in known
        ],
        "promql_expr_test": [
            {"expr": each, "eval_time": "30m", "exp_samples": []} for each in wanted
        ],
    }
    rules, tests = folder / "rules.yml", folder / "tests.yml"
    rules.write_text("groups: []\n")
    tests.write_text(yaml.safe_dump({"rule_files": [rules.name], "tests": [test]}, width=10_000))
    said = run("test", "rules", tests).stdout
    answered = {each.replace('\\"', '"') for each in _FAILED.findall(said)}
    assert "parse error" not in said, said
    assert "err:" not in said, said
    return set(wanted) - answered

"""Does `docs/metrics.md` describe each metric that there is, and none that there is not?"""

import re
from pathlib import Path
from textwrap import dedent

from tests.docs import metrics
from uptimeo.ops.modules import read_modules
from uptimeo.ops.probe_metrics import FAMILIES
from uptimeo.probes.registry import ProbeRegistry

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")


async def test_every_metric_is_described_as_it_describes_itself_and_no_other() -> None:
    text = metrics.of_monitors() + metrics.of_the_agent(await metrics.calibrated())

    assert metrics.documented(PAGE) == list(metrics.rows(text))


async def test_every_metric_that_is_named_anywhere_on_the_page_exists() -> None:
    text = metrics.of_monitors() + metrics.of_the_agent(await metrics.calibrated())
    named = set(re.findall(r"`((?:uptimeo|probe|process)_[a-z0-9_]+)", PAGE))

    assert {name for name in named if f"# TYPE {name} " not in text} == set()


def test_the_sample_that_the_page_is_made_of_has_every_series_of_a_monitor() -> None:
    text = metrics.of_monitors()
    keys = [key for family in FAMILIES for key in family.all_keys()]

    assert [key for key in keys if key not in text] == []


def test_the_module_on_the_page_is_one(tmp_path: Path) -> None:
    block = PAGE.partition("    [http_2xx]\n")[2].partition("\nA target without")[0]
    path = tmp_path / "probe.toml"
    path.write_text(dedent("    [http_2xx]\n" + block))
    registry = ProbeRegistry.installed()
    module = read_modules(path, registry)["http_2xx"]

    assert module.monitor("http_2xx", "example.com", registry).target == "https://example.com"

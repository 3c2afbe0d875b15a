"""The tables of `docs/doctor.md`, made of the checks that there are.

`python -m tests.docs.doctor` puts them into the page.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from uptimeo.doctor.checks import GROUPS, Check

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
_HEAD = "| check | looks at | warning | critical |\n| --- | --- | --- | --- |"


def tables() -> Iterator[tuple[str, str]]:
    """The heading of each group, and its table."""
    for title, checks in GROUPS.items():
        rows = "\n".join(_row(name, check) for name, check in checks.items())
        yield title, f"{_HEAD}\n{rows}"


def page(text: str) -> str:
    """The page with its tables as they should be; each stands under the heading of its group."""
    for title, table in tables():
        place = re.compile(rf"(?<=^### {title}\n\n)\|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
        text, found = place.subn(lambda _, table=table: table, text)  # type: ignore[misc]
        assert found == 1, f"the page has no table under {title!r}"
    return text


def _row(name: str, check: Check) -> str:
    return f"| `{name}` | {check.looks_at} | {check.warning} | {check.critical} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")

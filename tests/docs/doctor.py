"""The tables of `docs/doctor.md`, made of the examinations that there are.

`python -m tests.docs.doctor` puts them into the page.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from uptimeo.doctor.examinations import GROUPS, Examination

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
_HEAD = "| examination | looks at | warning | critical |\n| --- | --- | --- | --- |"


def tables() -> Iterator[tuple[str, str]]:
    """The heading of each group, and its table."""
    for title, examinations in GROUPS.items():
        rows = "\n".join(_row(name, each) for name, each in examinations.items())
        yield title, f"{_HEAD}\n{rows}"


def page(text: str) -> str:
    """The page with its tables as they should be; each stands under the heading of its group."""
    for title, table in tables():
        place = re.compile(rf"(?<=^### {title}\n\n)\|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
        text, found = place.subn(lambda _, table=table: table, text)  # type: ignore[misc]
        assert found == 1, f"the page has no table under {title!r}"
    return text


def _row(name: str, examination: Examination) -> str:
    return f"| `{name}` | {examination.looks_at} | {examination.warning} | {examination.critical} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")

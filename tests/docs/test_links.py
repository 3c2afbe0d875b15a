"""Does every link of the documents lead to a file that is there, and to a heading in it?"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINITION = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def links(text: str) -> list[str]:
    """Where a page's links lead, those in code left out."""
    prose = _CODE.sub("", _FENCE.sub("", text))
    return [*_LINK.findall(prose), *_DEFINITION.findall(prose)]


def anchors(text: str) -> set[str]:
    """What may stand behind the `#` of a link to this page, as GitHub makes it of headings."""
    prose = _FENCE.sub("", text)
    return {*_slugs(_HEADING.findall(prose)), *_ANCHOR.findall(prose)}


def _slugs(headings: list[str]) -> Iterator[str]:
    """Small letters, digits, `_`, `-`, spaces as `-`; a second time the same ends in `-1`."""
    seen: Counter[str] = Counter()
    for heading in headings:
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in links(page.read_text("utf-8")):
        if _ELSEWHERE.match(link):
            continue
        name, _, anchor = link.partition("#")
        file = page.parent / name if name else page
        if not file.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(file.read_text("utf-8")):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_link_that_leads_nowhere_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` (c), d_e\n## Twice\n## Twice\n"
        "[1](#a-b-c-d_e) [2](page.md#twice-1) [3](https://example.org/#x) `[4](no.md)`\n"
        "```\n[5](no.md)\n# no heading\n```\n"
        "[6](no.md) [7](#twice-2) [8](page.md#no-heading)\n"
    )

    found = [each.partition(":")[0] for each in broken(page)]
    assert found == ["no.md", "#twice-2", "page.md#no-heading"]

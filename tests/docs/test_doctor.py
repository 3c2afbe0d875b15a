"""Does `docs/doctor.md` describe every examination, and does all advice lead somewhere?"""

import re
from pathlib import Path

from tests.docs import doctor
from uptimeo.doctor.examinations import EXAMINATIONS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "uptimeo" / "doctor").rglob("*.py"))
# The guide has a heading for each.
GUIDE = {
    "a-clock-that-is-not-believed",
    "clock",
    "heartbeats-dropped",
    "losing-the-database",
    "partitions",
    "sequence-repair",
    "vacuum-and-freeze",
}


def anchors(page: Path) -> set[str]:
    """Those of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_examination_is_described_in_its_own_words() -> None:
    text = doctor.PAGE.read_text("utf-8")

    assert doctor.page(text) == text, "python -m tests.docs.doctor"


def test_every_examination_that_the_page_names_exists_and_has_a_judge() -> None:
    row = re.compile(r"^\| `([a-z-]+)` \|[^|]*\|[^|]*\|[^|]*\|$", re.MULTILINE)
    named = set(row.findall(doctor.PAGE.read_text("utf-8")))
    judged = {
        name
        for source in SOURCES
        for name in re.findall(r'Subject\(\s*"([a-z-]+)"', source.read_text())
    }

    assert named == judged == set(EXAMINATIONS)


def test_advice_leads_to_pages_and_headings_that_exist() -> None:
    text = "".join(source.read_text("utf-8") for source in SOURCES)
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    links = set(re.findall(r"(docs/[a-z]+\.md)(?:#([a-z-]+))?", text))
    assert links

    for page, anchor in links:
        if page == "docs/operations.md":
            assert anchor in GUIDE
        if (ROOT / page).exists() or page != "docs/operations.md":
            assert not anchor or anchor in anchors(ROOT / page), f"{page}#{anchor}"

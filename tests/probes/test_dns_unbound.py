"""Is each answer of a DNS server that nobody here wrote judged as expected?"""

from pathlib import Path

import pytest

from tests.evidence.dns import rows
from tests.support.unbound import is_installed, unbound


@pytest.mark.skipif(not is_installed(), reason="unbound is not installed")
async def test_each_case_comes_as_expected(tmp_path: Path) -> None:
    places = [tmp_path / part for part in ("newer", "older")]
    for place in places:
        place.mkdir()
    with unbound(places[0]) as server, unbound(places[1], serial=2023) as older:
        found = await rows(server, older)

    assert [row for row in found if not row.ok] == []

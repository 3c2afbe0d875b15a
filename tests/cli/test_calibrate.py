"""Does the command say how far off our own figures are?"""

import json

from tests.support.agents import output


async def test_it_shows_each_phase_with_what_it_means() -> None:
    _, out, err = await output("calibrate", "--checks", "10", "--hold", "1")

    assert err == ""
    for phase in ("connect", "tls", "first byte", "transfer"):
        assert phase in out
    assert "10 checks; limits: p50 0.5 ms, p99 3.0 ms" in out


async def test_its_json_has_the_figures_and_its_exit_code_the_verdict() -> None:
    code, out, _ = await output("calibrate", "--checks", "10", "--hold", "1", "--json")

    found = json.loads(out)
    assert [each["phase"] for each in found["phases"]] == [
        *("connect", "tls", "first byte", "transfer")
    ]
    assert all(0 <= each["p50_ms"] <= each["p99_ms"] <= each["max_ms"] for each in found["phases"])
    assert code == (0 if found["good"] else 1)
    assert found["failed"] == 0


async def test_a_wrong_number_is_wrong_input() -> None:
    code, _, err = await output("calibrate", "--checks", "1")

    assert code == 2
    assert "checks" in err

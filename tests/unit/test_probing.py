"""Is a target that a scraper names probed as the operator allows, and no other?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.fakes import LogBook, eventually
from tests.support.http_asking import asked
from tests.support.ops import an_exposition, facts, samples, value
from tests.support.servers import answering, mute, refusing, response, serve
from uptimeo.domain.errors import FatalError
from uptimeo.ops.app import make_app
from uptimeo.ops.endpoint import BOUNDS, OpsEndpoint
from uptimeo.ops.modules import Module, read_modules
from uptimeo.ops.probing import MOST_AT_A_TIME, Prober
from uptimeo.ops.results import Results
from uptimeo.probes.network.guard import AddressGuard
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts, Shared
from uptimeo.probes.running.references import References
from uptimeo.serving import Server

MODULES = {
    "http_2xx": Module(type="http"),
    "secret": Module(type="http", headers={"Authorization": "Bearer hunter2"}),
    "quick": Module(type="http", timeout_ms=300),
    "connect": Module(type="tcp"),
    "bent": Module(type="http", options={"no_such_option": 1}),
}


@asynccontextmanager
async def a_prober(forbidden: str = "none") -> AsyncIterator[Prober]:
    registry, log = ProbeRegistry.installed(), LogBook()
    shared = Shared(guard=AddressGuard.of(forbidden))
    attempts = Attempts(registry=registry, references=References(()), shared=shared, log=log.log)
    try:
        yield Prober(MODULES, registry, attempts)
    finally:
        await registry.aclose()


async def test_a_target_is_probed_as_its_module_says_and_told_without_labels() -> None:
    async with serve(answering(response("200 OK", body=b"hello"))) as site, a_prober() as prober:
        answer = await prober.probe({"module": "http_2xx", "target": site.url("/")}, None)

    found = samples(answer.text)
    assert answer.status == 200
    assert "probe_success 1\n" in answer.text
    assert value(found, "probe_http_status_code") == 200
    assert value(found, "probe_http_duration_seconds", phase="processing") is not None
    assert not any("monitor" in sample.labels for sample in found)


async def test_a_target_without_a_scheme_has_that_of_the_type() -> None:
    async with serve(answering(b"")) as site, a_prober() as prober:
        good = await prober.probe({"module": "connect", "target": site.shown}, None)
    with refusing() as closed:
        async with a_prober() as prober:
            bad = await prober.probe({"module": "connect", "target": closed.shown}, None)

    assert (good.status, value(samples(good.text), "probe_success")) == (200, 1)
    assert (bad.status, value(samples(bad.text), "probe_success")) == (200, 0)


async def test_the_agent_s_guard_holds_for_what_a_scraper_names() -> None:
    async with serve(answering(response("200 OK"))) as site, a_prober("default") as prober:
        given = {"module": "http_2xx", "target": site.url("/"), "debug": "true"}
        answer = await prober.probe(given, None)

    assert value(samples(answer.text), "probe_success") == 0
    assert "# error: address_forbidden: " in answer.text


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({}, None),
        ({"module": "http_2xx"}, None),
        ({"module": "unknown", "target": "http://192.0.2.1/"}, None),
        ({"module": "bent", "target": "http://192.0.2.1/"}, None),
        ({"module": "http_2xx", "target": "ftp://192.0.2.1/"}, None),
        ({"module": "http_2xx", "target": "http://192.0.2.1/" + "x" * 3000}, None),
        ({"module": "http_2xx", "target": "http://192.0.2.1/"}, "soon"),
        ({"module": "http_2xx", "target": "http://192.0.2.1/"}, "nan"),
        ({"module": "http_2xx", "target": "http://192.0.2.1/"}, "-1"),
    ],
)
async def test_what_cannot_be_probed_is_refused(given: dict[str, str], limit: str | None) -> None:
    async with a_prober() as prober:
        answer = await prober.probe(given, limit)

    assert answer.status == 400
    assert "probe_success" not in answer.text


async def test_a_probe_ends_before_its_scraper_gives_up() -> None:
    async with serve(mute) as silent, a_prober() as prober:
        given = {"module": "http_2xx", "target": silent.url("/"), "debug": "true"}
        hasty = await prober.probe(given, "0.9")
        quick = await prober.probe(given | {"module": "quick"}, "100")

    assert "450 ms" in hasty.text
    assert "300 ms" in quick.text
    assert value(samples(hasty.text), "probe_success") == 0


async def test_nothing_of_a_module_is_told() -> None:
    async with serve(answering(response("401 Unauthorized"))) as site, a_prober() as prober:
        given = {"module": "secret", "target": site.url("/"), "debug": "true"}
        answer = await prober.probe(given, None)

    assert "# status: down" in answer.text
    assert "hunter2" not in answer.text


async def test_only_so_many_are_under_way_at_a_time() -> None:
    async with serve(mute) as silent, a_prober() as prober:
        given = {"module": "http_2xx", "target": silent.url("/")}
        under_way = [asyncio.create_task(prober.probe(given, None)) for _ in range(MOST_AT_A_TIME)]
        await asyncio.sleep(0)
        refused = await prober.probe(given, None)
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way)
        again = await prober.probe(given, "0.2")

    assert (refused.status, again.status) == (503, 200)


@pytest.mark.parametrize("with_it", [False, True])
async def test_there_is_no_such_path_unless_the_operator_wrote_modules(with_it: bool) -> None:
    log = LogBook()
    async with serve(answering(response("200 OK"))) as site, a_prober() as prober:
        app = make_app(facts, an_exposition(Results({})), prober if with_it else None)
        serving = OpsEndpoint(("127.0.0.1", 0), lambda: Server(app, BOUNDS), log.log)
        running = asyncio.create_task(serving.run())
        await eventually(lambda: bool(log.lines("ops_started")))
        address = log.lines("ops_started")[0]["address"]
        status, _, body = await asked(address, f"/probe?module=http_2xx&target={site.url('/')}")
        running.cancel()
        await asyncio.wait([running])

    assert status == (200 if with_it else 404)
    assert (b"probe_success 1" in body) is with_it


def test_modules_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "probe.toml"
    path.write_text('[a]\ntype = "http"\ntimeout_ms = 500\n[a.options]\nmax_redirects = 2\n')

    found = read_modules(path, ProbeRegistry.installed())

    assert found == {"a": Module(type="http", timeout_ms=500, options={"max_redirects": 2})}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a", "cannot be read"),
        ("[a]\n", "a.type: Field required"),
        ('[a]\ntype = "http"\nsecret = "hunter2"\n', "a.secret: Extra inputs"),
        ('[a]\ntype = "http"\ntimeout_ms = 60000\n', "a.timeout_ms: Input should be less"),
        ('[a]\ntype = "exec"\n', "the type 'exec' cannot be probed on demand"),
        ('[a]\ntype = "EXEC"\n', "the type 'exec' cannot be probed on demand"),
        ('[a]\ntype = "push"\n', "the type 'push' cannot be probed on demand"),
        ('[a]\ntype = "gopher"\n', "the type 'gopher' cannot be probed on demand"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "probe.toml"
    path.write_text(text)

    with pytest.raises(FatalError, match="UPTIMEO_PROBE_FILE") as caught:
        read_modules(path, ProbeRegistry.installed())
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)

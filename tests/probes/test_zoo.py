"""Is each bad certificate of the zoo told by its own error class, by `tls` and by `https`?"""

from typing import Any

import pytest

from tests.support.servers import Address, Site, serve
from tests.support.zoo import EXPECTED, Zoo
from uptimeo.domain.result import ErrorType, Phase, ProbeResult
from uptimeo.probes.base import ProbeContext, TlsOptions
from uptimeo.probes.dialogues.certificate import CertificateOptions, CertificateProbe
from uptimeo.probes.http import HttpOptions, HttpProbe


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo.new()


async def by_tls(server: Address, options: dict[str, Any]) -> ProbeResult:
    given = CertificateOptions(
        url=f"tls://localhost:{server.port}", tls=TlsOptions.model_validate(options)
    )
    return await CertificateProbe().probe(given, ProbeContext(timeout_ms=3000))


async def by_https(server: Address, options: dict[str, Any]) -> ProbeResult:
    probe = HttpProbe()
    given = HttpOptions.model_validate({"url": server.url(host="localhost"), "tls": options})
    try:
        return await probe.probe(given, ProbeContext(timeout_ms=3000))
    finally:
        await probe.aclose()


def assert_told(result: ProbeResult, expected: ErrorType | None, server: Address) -> None:
    if expected is None:
        assert result.failure is None, result.failure
        return
    assert result.failure is not None, f"expected {expected}, and the check succeeded"
    assert result.failure.type is expected, result.failure
    assert result.failure.phase is Phase.TLS
    assert server.shown in result.failure.message


@pytest.mark.parametrize("name", EXPECTED)
async def test_tls_tells_each_certificate_by_its_fault_and_shows_it(zoo: Zoo, name: str) -> None:
    animal = zoo.animals[name]
    async with serve(Site(), tls=animal.server()) as server:
        result = await by_tls(server, animal.options())

    assert_told(result, animal.expected, server)
    certificate = result.facts["certificate"]
    assert certificate["leaf_expires"] == animal.leaf.certificate.not_valid_after_utc.isoformat()
    assert certificate["presented"] == 1 + len(animal.sent)
    assert (certificate["chain_expires"] is None) is (animal.expected is not None)


@pytest.mark.parametrize("name", EXPECTED)
async def test_https_tells_each_certificate_by_the_same_fault(zoo: Zoo, name: str) -> None:
    animal = zoo.animals[name]
    async with serve(Site(), tls=animal.server()) as server:
        result = await by_https(server, animal.options())

    assert_told(result, animal.expected, server)


async def test_an_expired_root_that_is_sent_along_does_not_shorten_the_chain(zoo: Zoo) -> None:
    animal = zoo.animals["expired cross-signed root beside a good chain"]
    async with serve(Site(), tls=animal.server()) as server:
        result = await by_tls(server, animal.options())

    certificate = result.facts["certificate"]
    assert certificate["chain_expires"] == certificate["leaf_expires"]

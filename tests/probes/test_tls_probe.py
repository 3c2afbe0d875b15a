"""Does a certificate check tell what is demanded of a certificate from what it is?"""

import time
from typing import Any

import pytest

from tests.faults.hostile_tls import long_chain
from tests.support.servers import mute, serve
from tests.support.wire_checks import check, failure_of, up
from tests.support.zoo import Animal, Zoo
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.base import Address, Family, ProbeContext
from uptimeo.probes.dialogues.certificate import CertificateOptions, CertificateProbe

GOOD = Zoo.new().animals["good"]


async def checked(animal: Animal = GOOD, **options: Any) -> ProbeResult:
    async with serve(mute, tls=animal.server()) as server:
        url = f"tls://localhost:{server.port}"
        return await check(CertificateProbe(), url, tls=animal.options(), **options)


async def test_a_good_certificate_is_shown() -> None:
    result = up(await checked())

    certificate = result.facts["certificate"]
    assert certificate["issuer"] == "CN=intermediate of the zoo"
    assert certificate["key"] == "EC secp256r1"
    assert certificate["presented"] == 2
    assert certificate["chain_expires"] == certificate["leaf_expires"]
    assert result.facts["tls"]["protocol"] == "TLSv1.3"
    assert result.phases.tls is not None


@pytest.mark.parametrize(
    ("demand", "told"),
    [
        ({"min_days": 61}, "a certificate that is valid for at least 61 days, got one that is"),
        ({"min_chain_days": 61}, "a certificate chain that is valid for at least 61 days"),
        ({"issuer": "Let.s Encrypt"}, "an issuer that matches"),
        ({"names": ["localhost", "www"]}, "a certificate for localhost, www, got one that is not"),
        ({"fingerprints": ["00" * 32]}, "the fingerprint 0000000000000000…, got"),
        ({"protocols": ["TLSv1.2"]}, "TLSv1.2, got TLSv1.3"),
        ({"cipher": "CHACHA20_NEVER"}, "a cipher that matches"),
    ],
)
async def test_a_demand_that_is_not_met_is_told(demand: dict[str, Any], told: str) -> None:
    result = await checked(**demand)

    assert told in failure_of(result, ErrorType.ASSERTION).message
    assert [each["ok"] for each in result.facts["assertions"]] == [False]
    assert "certificate" in result.facts


async def test_demands_that_are_met_are_told_too() -> None:
    shown = up(await checked()).facts["certificate"]["fingerprint"].upper()
    colons = ":".join(shown[i : i + 2] for i in range(0, 64, 2))

    result = up(
        await checked(
            min_days=59,
            min_chain_days=59,
            issuer="^CN=intermediate",
            names=["localhost"],
            fingerprints=[colons],
            protocols=["TLSv1.2", "TLSv1.3"],
            cipher="^TLS_",
            min_rsa_bits=2048,
        )
    )

    assert [each["ok"] for each in result.facts["assertions"]] == [True] * 8


async def test_a_short_rsa_key_is_too_weak_also_where_nothing_is_verified() -> None:
    weak = Zoo.new().animals["weak key"]
    async with serve(mute, tls=weak.server()) as server:
        result = await check(
            CertificateProbe(),
            f"tls://localhost:{server.port}",
            tls={"verify": False, "min_version": "1.0"},
            min_rsa_bits=2048,
        )

    assert "2048 bits, got RSA 1024" in failure_of(result, ErrorType.ASSERTION).message


async def test_a_certificate_is_shown_again_only_when_it_changes_or_the_check_fails() -> None:
    probe, zoo = CertificateProbe(), Zoo.new()
    good, other, expired = (zoo.animals[name] for name in ("good", "not revoked", "expired"))
    context = ProbeContext(timeout_ms=3000)
    shown = []

    async def look(given: CertificateOptions) -> None:
        shown.append(set((await probe.probe(given, context)).facts))

    async with serve(mute, tls=good.server()) as server:
        options = CertificateOptions.model_validate(
            {"url": f"tls://localhost:{server.port}", "tls": good.options()}
        )
        await look(options)
        await look(options)
        await look(options.model_copy())  # another monitor
    for animal in (other, other, expired, expired):
        async with serve(mute, tls=animal.server()) as server:
            # The port is another one each time; the monitor stays the same.
            object.__setattr__(options, "url", f"tls://localhost:{server.port}")
            await look(options)

    both = {"tls", "certificate"}
    assert shown == [both, set(), both, {"certificate"}, set(), {"certificate"}, {"certificate"}]


def test_the_port_is_that_of_the_protocol() -> None:
    https = CertificateOptions(url="tls://example.org")
    mail = CertificateOptions(url="tls://example.org", starttls="imap")

    assert (https.endpoint().port, mail.endpoint().port) == (443, 143)


class BothFamilies:
    """A resolver by which every name has loopback's address of each family."""

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        found = {Family.V4: "127.0.0.1", Family.V6: "::1"}
        return tuple(Address(ip) for each, ip in found.items() if family in (each, Family.ANY))


async def test_a_certificate_is_demanded_by_both_families() -> None:
    other = Zoo.new().animals["expired"]
    probe, context = CertificateProbe(), ProbeContext(timeout_ms=3000, resolver=BothFamilies())
    async with (
        serve(mute, tls=GOOD.server()) as four,
        serve(mute, tls=other.server(), host="::1", port=four.port) as six,
    ):
        given = {"url": f"tls://localhost:{six.port}", "family": "both"}
        options = CertificateOptions.model_validate(given | {"tls": GOOD.options()})
        result = await probe.probe(options, context)
        trusting = CertificateOptions.model_validate(given | {"tls": {"verify": False}})
        first, second = [up(await probe.probe(trusting, context)) for _ in range(2)]

    failure = failure_of(result, ErrorType.TLS_UNTRUSTED)
    assert failure.message.startswith(f"by v6: the certificate of [::1]:{six.port} is not trusted")
    assert failure.message.endswith("by v4 it is up")
    families = result.facts["families"]
    assert [families[name]["ip"] for name in ("v4", "v6")] == ["127.0.0.1", "::1"]
    assert families["v4"]["facts"]["certificate"] != result.facts["certificate"]
    known = [first.facts, *(each.get("facts", {}) for each in first.facts["families"].values())]
    assert sum("certificate" in facts for facts in known) == 2
    assert list(second.facts) == ["families"]
    assert not any("facts" in each for each in second.facts["families"].values())


async def test_a_source_address_has_one_family_only() -> None:
    given = {"url": "tls://a.example", "family": "both", "source": "127.0.0.1"}
    with pytest.raises(ValueError, match="family cannot be both"):
        CertificateOptions.model_validate(given)


async def test_a_chain_of_a_hundred_certificates_is_not_read_by_the_loop() -> None:
    async with serve(mute, tls=long_chain(100)) as server:
        url = f"tls://127.0.0.1:{server.port}"
        options = CertificateOptions.model_validate({"url": url, "tls": {"verify": False}})
        context = ProbeContext(timeout_ms=10_000)
        assert options.tls is not None
        context.tls.prepare(options.tls)
        loop_s, whole_s = time.thread_time(), time.process_time()
        result = await CertificateProbe().probe(options, context)
        loop_s, whole_s = time.thread_time() - loop_s, time.process_time() - whole_s

    assert result.failure is None
    # The server's side is the loop's too: 0.56 of it all with OpenSSL 3.5, which reads fast.
    assert loop_s < 0.8 * whole_s

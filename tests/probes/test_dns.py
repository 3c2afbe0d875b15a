"""Does a DNS check ask what it should, take no forged answer, and say what is wrong with one?"""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.certificates import Authority
from tests.support.dns_server import Query, Script, answering, reply, serve_dns, silent
from tests.support.servers import HOST, refusing
from tests.support.wires import TARGET, TARGET6, Wire
from uptimeo.probes.base import (
    AddressGuard,
    ErrorType,
    Outcome,
    Phase,
    ProbeContext,
    ProbeResult,
    TargetError,
    Timeline,
    TlsOptions,
)
from uptimeo.probes.dns.messages import Query as OurQuery
from uptimeo.probes.dns.messages import Question, TooLargeError, UnreadableError
from uptimeo.probes.dns.options import DnsOptions
from uptimeo.probes.dns.probe import DnsProbe
from uptimeo.probes.dns.transport import Server, Transport, ask, own_servers

A = "www.example. 60 IN A 192.0.2.1"
B = "www.example. 60 IN A 192.0.2.2"
SOA = "www.example. 60 IN SOA ns.example. admin.example. {} 3600 600 86400 60"


def context(timeout_ms: int = 3000) -> ProbeContext:
    return ProbeContext(timeout_ms=timeout_ms)


def options(port: int, kind: str = "A", host: str = HOST, **given: Any) -> DnsOptions:
    url = f"dns://{host}:{port}/www.example?type={kind}"
    return DnsOptions.model_validate({"url": url, **given})


async def asked(
    script: Script, kind: str = "A", within: ProbeContext | None = None, **given: Any
) -> ProbeResult:
    async with serve_dns(script) as port:
        return await DnsProbe().probe(options(port, kind, **given), within or context())


def failure(result: ProbeResult) -> tuple[ErrorType, str]:
    assert result.failure is not None, "it is up"
    return result.failure.type, result.failure.message


async def test_an_answer_over_udp_has_one_phase_and_is_in_the_facts() -> None:
    async def script(query: Query) -> None:
        await asyncio.sleep(0.03)
        await query.answer(A, B)

    result = await asked(script)

    assert result.outcome is Outcome.UP
    assert [phase for phase, _ in result.phases.measured()] == [Phase.WAIT]
    assert (result.total_ms or 0) >= 30
    assert result.total_ms == result.phases.wait
    assert result.resolved_ip == HOST
    assert result.facts["answers"] == ["192.0.2.1", "192.0.2.2"]
    assert result.facts["dns"]["rcode"] == "NOERROR"
    assert result.facts["dns"]["transport"] == "udp"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("AAAA", "2001:db8::1"),
        ("MX", "10 mail.example."),
        ("TXT", '"v=spf1 -all" "second"'),
        ("NS", "ns.example."),
        ("SRV", "1 2 443 www.example."),
        ("CAA", '0 issue "ca.example"'),
        ("PTR", "host.example."),
        ("CNAME", "other.example."),
        ("HTTPS", '1 . alpn="h2"'),
        ("SOA", "ns.example. admin.example. 7 3600 600 86400 60"),
    ],
)
async def test_any_type_is_asked_and_compared(kind: str, data: str) -> None:
    script = answering(f"www.example. 60 IN {kind} {data}")

    good = await asked(script, kind, answers=(data,))
    changed = await asked(script, kind, forbidden=(data,))

    assert good.outcome is Outcome.UP
    assert good.facts["answers"] == [data]
    assert failure(changed)[0] is ErrorType.UNEXPECTED


async def test_the_records_at_the_end_of_a_chain_of_names_are_judged() -> None:
    chain = ("www.example. 60 IN CNAME cdn.example.", "cdn.example. 60 IN A 192.0.2.9")

    result = await asked(answering(*chain, B.replace("www", "stray")), answers=("192.0.2.9",))

    assert result.failure is None
    assert result.facts["answers"] == ["192.0.2.9"]


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR"])
async def test_a_response_code_is_as_expected_or_told(rcode: str) -> None:
    script = answering(rcode=rcode)

    unexpected = await asked(script)
    expected = await asked(script, rcodes=(rcode,))

    kind, text = failure(unexpected)
    assert kind is ErrorType.DNS_RCODE
    assert text.startswith(f"{HOST}:")
    assert text.endswith(f" answers {rcode} for www.example A, expected NOERROR")
    assert expected.outcome is Outcome.UP


async def test_why_a_server_refuses_is_told_if_it_says_so() -> None:
    def explain(message: dns.message.Message) -> None:
        message.use_edns(options=[dns.edns.EDEOption(dns.edns.EDECode.DNSKEY_MISSING, "no DNSKEY")])

    result = await asked(answering(rcode="SERVFAIL", change=explain))

    assert "no DNSKEY" in failure(result)[1]
    assert "no DNSKEY" in result.facts["dns_errors"][0]


async def test_no_record_is_a_failure_unless_none_is_needed() -> None:
    assert failure(await asked(answering()))[1].endswith(
        "answers no record for www.example A, expected at least 1"
    )
    assert (await asked(answering(), min_answers=0)).outcome is Outcome.UP
    assert failure(await asked(answering(A), min_answers=2))[1].endswith("expected at least 2")


async def test_an_answer_that_was_cut_short_is_fetched_over_tcp() -> None:
    def cut(message: dns.message.Message) -> None:
        message.flags |= dns.flags.TC

    async def script(query: Query) -> None:
        if query.transport == "udp":
            await query.answer(change=cut)
        else:
            await query.answer(A)

    result = await asked(script, answers=("192.0.2.1",))

    assert result.outcome is Outcome.UP
    assert result.facts["dns"]["transport"] == "tcp"
    assert [phase for phase, _ in result.phases.measured()] == [Phase.CONNECT, Phase.WAIT]


async def test_an_answer_that_is_cut_short_over_tcp_too_is_a_fault() -> None:
    def cut(message: dns.message.Message) -> None:
        message.flags |= dns.flags.TC

    assert failure(await asked(answering(change=cut)))[0] is ErrorType.PROTOCOL


async def test_over_tcp_the_connection_is_a_phase_of_its_own() -> None:
    result = await asked(answering(A), transport="tcp")

    assert result.outcome is Outcome.UP
    assert [phase for phase, _ in result.phases.measured()] == [Phase.CONNECT, Phase.WAIT]


async def test_over_tls_the_server_has_to_prove_who_it_is() -> None:
    authority = Authority.new()
    trusting = TlsOptions(ca_pem=authority.pem)
    async with serve_dns(answering(A), tls=authority.valid()) as port:
        good = await DnsProbe().probe(options(port, transport="tls", tls=trusting), context())
        bad = await DnsProbe().probe(options(port, transport="tls"), context())

    assert good.outcome is Outcome.UP
    assert good.phases.tls is not None
    assert failure(bad)[0] is ErrorType.TLS_UNTRUSTED


def other_id(query: Query) -> bytes:
    wire = reply(query.message, B)
    return bytes([wire[0] ^ 1]) + wire[1:]


def other_question(query: Query) -> bytes:
    asked_else = dns.message.make_query("evil.example", "A", id=query.message.id)
    return reply(asked_else, B)


def other_type(query: Query) -> bytes:
    return reply(dns.message.make_query("www.example", "AAAA", id=query.message.id))


def own_words(query: Query) -> bytes:
    return query.message.to_wire()


def broken(query: Query) -> bytes:
    return reply(query.message, B)[:-3]


def junk(query: Query) -> bytes:
    return b"\xff" * 7


STRANGERS = [other_id, other_question, other_type, own_words, broken, junk]


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_what_is_no_answer_to_the_question_is_left_out(
    stranger: Callable[[Query], bytes],
) -> None:
    async def first_a_stranger(query: Query) -> None:
        await query.send(stranger(query))
        await query.answer(A)

    async def strangers_only(query: Query) -> None:
        await query.send(stranger(query))

    good = await asked(first_a_stranger, answers=("192.0.2.1",))
    never = await asked(strangers_only, within=context(150))

    assert good.outcome is Outcome.UP
    kind, text = failure(never)
    assert kind is ErrorType.NO_REPLY
    assert "it sent 1 datagrams, the last being " in text


async def test_an_answer_from_another_port_is_not_heard() -> None:
    async def script(query: Query) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind((HOST, 0))
            elsewhere.sendto(reply(query.message, B), query.client)

    result = await asked(script, within=context(150))

    assert failure(result) == (ErrorType.NO_REPLY, f"no answer from {at(result)} within 150 ms")


def at(result: ProbeResult) -> str:
    return failure(result)[1].split(" from ")[1].split(" within")[0]


async def test_an_endless_stream_of_other_answers_is_an_end() -> None:
    async def script(query: Query) -> None:
        for _ in range(200):
            await query.send(other_id(query))
            await asyncio.sleep(0)

    kind, text = failure(await asked(script, within=context(5_000)))

    assert kind is ErrorType.UNEXPECTED
    assert text.endswith("it sent 100 datagrams, the last being an answer with another id")


async def test_silence_ends_with_the_timeout() -> None:
    for transport in ("udp", "tcp"):
        result = await asked(silent, within=context(100), transport=transport)
        assert result.outcome is Outcome.DOWN
        assert result.failure is not None
        assert result.failure.phase is Phase.WAIT


async def test_a_closed_port_refuses_at_once() -> None:
    with refusing() as nobody:
        result = await DnsProbe().probe(options(nobody.port), context(60_000))

    assert failure(result) == (
        ErrorType.CONNECT_REFUSED,
        f"nothing listens at {nobody.shown}: port unreachable",
    )


@pytest.mark.parametrize(
    ("target", "reason", "told"),
    [
        (TARGET, "icmp-net-unreachable", "no route to the network of"),
        (TARGET, "icmp-host-unreachable", "no route to"),
        (TARGET, "icmp-admin-prohibited", "no route to"),
        (TARGET6, "icmp6-no-route", "no route to the network of"),
        (TARGET6, "icmp6-addr-unreachable", "no route to"),
        (TARGET6, "icmp6-adm-prohibited", "lets nothing pass to"),
    ],
)
async def test_a_router_that_refuses_ends_the_check_at_once(
    way: Wire, target: str, reason: str, told: str
) -> None:
    refuse = ("-j", "REJECT", "--reject-with", reason)
    host = f"[{target}]" if ":" in target else target
    with way.rule("router", "FORWARD", "-d", target, *refuse), way.inside():
        result = await DnsProbe().probe(options(53, host=host), context(60_000))

    kind, text = failure(result)
    assert kind is ErrorType.CONNECT_UNREACHABLE
    assert told in text
    assert target in text


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_more_records_than_are_read_is_a_failure_of_its_own(transport: str) -> None:
    many = [f"www.example. 60 IN A 10.0.{n // 256}.{n % 256}" for n in range(201)]

    result = await asked(answering(*many), transport=transport)

    assert failure(result)[0] is ErrorType.BODY_TOO_LARGE
    assert "records, more than the limit 200" in failure(result)[1]


async def test_an_answer_that_is_slow_to_read_stops_no_other_check() -> None:
    """200 texts of 150 pieces: some 60 KB."""
    pieces = " ".join(["a"] * 150)
    texts = [f'www.example. 60 IN TXT "{number}" {pieces}' for number in range(199)]
    lateness: list[float] = []

    async def other() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            lateness.append(loop.time() - due)

    query = OurQuery(Question(name="www.example", kind="TXT"), 1, 200)
    large = reply(dns.message.from_wire(query.wire), *texts)
    began = time.perf_counter()
    query.read(large)
    reading_s = time.perf_counter() - began

    async def script(asked: Query) -> None:
        await asked.send(asked.message.to_wire()[:2] + large[2:])

    async with serve_dns(script) as port:
        beside = asyncio.create_task(other())
        result = await DnsProbe().probe(options(port, "TXT", transport="tcp"), context())
        beside.cancel()

    assert result.outcome is Outcome.UP
    assert max(lateness) < reading_s / 2


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_over_tcp_what_is_no_answer_ends_the_check(
    stranger: Callable[[Query], bytes],
) -> None:
    async def script(query: Query) -> None:
        await query.send(stranger(query))

    assert failure(await asked(script, transport="tcp"))[0] is ErrorType.PROTOCOL


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"answers": ("192.0.2.2", "192.0.2.1")}, None),
        ({"answers": ("192.0.2.1",)}, "exactly 192.0.2.1"),
        ({"answers": ("192.0.2.1",), "match": "includes"}, None),
        ({"answers": ("192.0.2.3",), "match": "includes"}, "also 192.0.2.3"),
        ({"answers": ("192.0.2.1", "192.0.2.2", "192.0.2.3"), "match": "within"}, None),
        ({"answers": ("192.0.2.1",), "match": "within"}, "nothing but 192.0.2.1"),
        ({"forbidden": ("192.0.2.3",)}, None),
        ({"forbidden": ("192.0.2.2", "192.0.2.3")}, "not 192.0.2.2"),
        ({"matches": r"\.2$"}, None),
        ({"matches": r"^10\."}, "a record that matches '^10\\\\.'"),
        ({"not_matches": r"^10\."}, None),
        ({"not_matches": r"\.2$"}, "no record that matches '\\\\.2$'"),
    ],
)
async def test_the_answer_is_judged(given: dict[str, Any], reason: str | None) -> None:
    result = await asked(answering(A, B), **given)

    if reason is None:
        assert result.failure is None
    else:
        kind, text = failure(result)
        assert kind is ErrorType.UNEXPECTED
        assert text.endswith(f" answers 192.0.2.1, 192.0.2.2 for www.example A, expected {reason}")


async def test_names_in_records_are_compared_without_case_and_final_dot() -> None:
    script = answering("www.example. 60 IN MX 10 Mail.Example.")

    result = await asked(script, "MX", answers=("10 mail.example",))

    assert result.failure is None


@pytest.mark.parametrize(
    ("flags", "given", "outcome"),
    [
        ("AD", {"authenticated": True}, Outcome.UP),
        ("RA", {"authenticated": True}, Outcome.DOWN),
        ("AA", {"authoritative": True}, Outcome.UP),
        ("RA", {"authoritative": True}, Outcome.DOWN),
    ],
)
async def test_a_flag_can_be_demanded(flags: str, given: dict[str, Any], outcome: Outcome) -> None:
    assert (await asked(answering(A, flags=flags), **given)).outcome is outcome


async def test_the_query_says_what_the_options_say() -> None:
    seen: list[dns.message.Message] = []

    async def script(query: Query) -> None:
        seen.append(query.message)
        await query.answer(A)

    await asked(script, recursion=False, dnssec=True)
    await asked(script)

    assert not seen[0].flags & dns.flags.RD
    assert seen[0].ednsflags & dns.flags.DO
    assert seen[1].flags & dns.flags.RD
    assert not seen[1].ednsflags & dns.flags.DO
    assert seen[0].id != seen[1].id


@pytest.mark.parametrize(
    ("serial", "least", "outcome"),
    [
        (2024, 2024, Outcome.UP),
        (2023, 2024, Outcome.DOWN),
        (5, 4_294_967_290, Outcome.UP),
        (4_294_967_290, 5, Outcome.DOWN),
    ],
)
async def test_a_serial_is_compared_as_one_that_wraps_around(
    serial: int, least: int, outcome: Outcome
) -> None:
    result = await asked(answering(SOA.format(serial)), "SOA", min_serial=least)

    assert result.outcome is outcome
    assert result.facts["serial"] == serial


async def test_servers_of_a_zone_must_have_the_same_serial() -> None:
    async with (
        serve_dns(answering(SOA.format(8))) as first,
        serve_dns(answering(SOA.format(8))) as same,
        serve_dns(answering(SOA.format(7))) as older,
    ):
        good = await DnsProbe().probe(
            options(first, "SOA", same_serial_at=(f"{HOST}:{same}",)), context()
        )
        bad = await DnsProbe().probe(
            options(first, "SOA", same_serial_at=(f"{HOST}:{same}", f"{HOST}:{older}")), context()
        )

    assert good.outcome is Outcome.UP
    assert good.phases.own.keys() == {"serials"}
    assert failure(bad) == (
        ErrorType.UNEXPECTED,
        f"{HOST}:{first} has the serial 8, {HOST}:{older} has 7: {HOST}:{older} is behind",
    )


async def test_answers_are_kept_when_they_change_and_when_the_check_fails() -> None:
    records = [A]

    async def script(query: Query) -> None:
        await query.answer(*records)

    probe = DnsProbe()
    async with serve_dns(script) as port:
        given = options(port, forbidden=("192.0.2.66",))
        first = await probe.probe(given, context())
        same = await probe.probe(given, context())
        records.append(B)
        changed = await probe.probe(given, context())
        records.reverse()
        turned = await probe.probe(given, context())
        records[:] = ["www.example. 60 IN A 192.0.2.66"]
        failed = [await probe.probe(given, context()) for _ in range(2)]

    assert first.facts["answers"] == ["192.0.2.1"]
    assert changed.facts["answers"] == ["192.0.2.1", "192.0.2.2"]
    assert (dict(same.facts), dict(turned.facts)) == ({}, {})
    assert [each.facts["answers"] for each in failed] == [["192.0.2.66"]] * 2


async def test_a_forbidden_server_is_not_asked_unless_it_is_the_hosts_own() -> None:
    guarded = ProbeContext(timeout_ms=1000, guard=AddressGuard.of("default"))
    query = OurQuery(Question(name="www.example", kind="A"), 1, 200)
    transports: tuple[Transport, ...] = ("udp", "tcp")
    for transport in transports:
        async with serve_dns(answering(A)) as port:
            named = Server(host=HOST, port=port, transport=transport)
            own = Server(host=HOST, port=port, transport=transport, trusted=True)
            with pytest.raises(TargetError) as refused:
                await ask(query, named, guarded, Timeline())
            found = await ask(query, own, guarded, Timeline())

        assert refused.value.failure.type is ErrorType.ADDRESS_FORBIDDEN
        assert found.answer.rcode == "NOERROR"


def test_the_hosts_own_servers_are_those_of_resolv_conf(tmp_path: Path) -> None:
    config = tmp_path / "resolv.conf"
    config.write_text("search example\nnameserver 192.0.2.53\n# nameserver 1\nnameserver ::1\n")

    assert own_servers(config) == ["192.0.2.53", "::1"]
    assert own_servers(tmp_path / "missing") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "dns://192.0.2.1/"},
        {"url": "dns://192.0.2.1/a?class=CH"},
        {"url": "dns://192.0.2.1:99999/a"},
        {"url": "dns://user@192.0.2.1/a"},
        {"url": "http://192.0.2.1/a"},
        {"url": "dns://192.0.2.1/" + "a" * 64},
        {"url": "dns://192.0.2.1/a..b"},
        {"url": "dns://192.0.2.1/a", "name": "b"},
        {"record_type": "NOPE"},
        {"record_type": "AXFR"},
        {"record_type": "OPT"},
        {"answers": ("no address",)},
        {"forbidden": ("2001:db8::1",)},
        {"rcodes": ("FINE",)},
        {"rcodes": ()},
        {"min_serial": 1},
        {"matches": "("},
        {"same_serial_at": ("192.0.2.1/x",), "record_type": "SOA"},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DnsOptions.model_validate({"url": "dns://192.0.2.1/www.example", **wrong})


@pytest.mark.parametrize(
    ("url", "given", "name", "kind", "port"),
    [
        ("dns://192.0.2.1/www.example", {}, "www.example", "A", 53),
        ("dns://[2001:db8::1]:5353/x?type=mx", {}, "x", "MX", 5353),
        ("dns:///x", {"transport": "tls"}, "x", "A", 853),
        ("dns://192.0.2.1", {"name": ".", "record_type": "ns"}, ".", "NS", 53),
    ],
)
def test_a_url_says_whom_to_ask_for_what(
    url: str, given: dict[str, Any], name: str, kind: str, port: int
) -> None:
    parsed = DnsOptions.model_validate({"url": url, **given})

    assert (parsed.question.name, parsed.question.kind) == (name, kind)
    assert parsed.server().port == port


QUERY = OurQuery(Question(name="www.example", kind="A"), 1, 200)
GENUINE = reply(dns.message.from_wire(QUERY.wire), A, B, "www.example. 5 IN CNAME www.example.")


@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)), max_size=8))
def test_a_mangled_answer_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    wire = bytearray(GENUINE)
    for at_byte, value in changes:
        wire[at_byte] = value
    try:
        answer = QUERY.read(bytes(wire))
    except (UnreadableError, TooLargeError):
        return
    assert answer is None or answer.rcode


@given(st.binary(max_size=300))
def test_junk_after_a_genuine_start_is_read_or_refused(junk: bytes) -> None:
    start = GENUINE[: 12 + len(QUERY.wire) - 12 - 11]
    try:
        QUERY.read(start[:6] + b"\x00\x09\x00\x09\x00\x09" + start[12:] + junk)
    except (UnreadableError, TooLargeError):
        return

"""Does a ping measure what came back, tell loss from refusal, and take only what is its own?"""

import asyncio
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support import wires
from tests.support.tunnel import (
    Tunnel,
    checksum,
    destination,
    echo_reply,
    ip_header,
    is_echo_request,
    tunnel,
)
from tests.support.wires import AGENT, MTU, ROUTER, ROUTER6, TARGET, TARGET6, Wire
from uptimeo.probes.base import AddressGuard, ErrorType, Outcome, ProbeContext, ProbeResult
from uptimeo.probes.ping.probe import PingOptions, PingProbe

NOBODY = 65_534
ALL_GROUPS, NO_GROUPS = "0 2147483647", "1 0"


@pytest.fixture(params=["datagram", "raw"])
def link(way: Wire, request: pytest.FixtureRequest) -> Iterator[tuple[Wire, str]]:
    """The wire, with the kind of socket that the agent's host allows."""
    with way.ping_groups(ALL_GROUPS if request.param == "datagram" else NO_GROUPS):
        yield way, request.param


@pytest.fixture
def odd_network() -> Iterator[Tunnel]:
    try:
        with ExitStack() as stack:
            yield stack.enter_context(tunnel())
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network device of our own: {error}")


async def ping(host: str, context: ProbeContext | None = None, **options: object) -> ProbeResult:
    shown = f"[{host}]" if ":" in host else host
    given = PingOptions.model_validate({"url": f"ping://{shown}", "interval_ms": 10, **options})
    return await PingProbe().probe(given, context or ProbeContext(timeout_ms=3000))


def facts(result: ProbeResult) -> dict[str, Any]:
    found: dict[str, Any] = result.facts["ping"]
    return found


def failure(result: ProbeResult) -> tuple[ErrorType, str]:
    assert result.failure is not None, "it is up"
    return result.failure.type, result.failure.message


@pytest.mark.parametrize("target", [TARGET, TARGET6])
async def test_a_host_that_answers_is_up_and_the_average_is_its_time(
    link: tuple[Wire, str], target: str
) -> None:
    way, kind = link
    with way.inside():
        result = await ping(target, count=5)

    found = facts(result)
    assert result.outcome is Outcome.UP
    assert result.resolved_ip == target
    assert (found["sent"], found["received"], found["loss_percent"]) == (5, 5, 0)
    assert found["socket"] == kind
    assert 0 < found["min_ms"] <= found["avg_ms"] <= found["max_ms"]
    assert found["stddev_ms"] >= 0
    assert found["jitter_ms"] >= 0
    assert result.phases.wait == result.total_ms == found["avg_ms"]


async def test_a_name_is_looked_up_in_a_phase_of_its_own(way: Wire) -> None:
    with way.inside():
        result = await ping("localhost", family="v4")

    assert result.outcome is Outcome.UP
    assert result.phases.dns is not None
    assert result.total_ms == pytest.approx(result.phases.dns + facts(result)["avg_ms"])


async def test_a_silent_host_gives_no_reply_at_its_timeout(link: tuple[Wire, str]) -> None:
    way, _ = link
    with way.rule("target", "INPUT", "-d", TARGET, "-j", "DROP"), way.inside():
        result = await ping(TARGET, ProbeContext(timeout_ms=200))

    kind, text = failure(result)
    assert kind is ErrorType.NO_REPLY
    assert text.startswith(f"no reply from {TARGET} to 3 requests in ")
    assert result.outcome is Outcome.DOWN
    assert "avg_ms" not in facts(result)
    assert facts(result)["loss_percent"] == 100


async def test_the_wait_for_replies_can_be_shorter_than_the_timeout(way: Wire) -> None:
    with way.rule("target", "INPUT", "-d", TARGET, "-j", "DROP"), way.inside():
        result = await ping(TARGET, ProbeContext(timeout_ms=60_000), reply_timeout_ms=50)

    assert failure(result)[0] is ErrorType.NO_REPLY


@pytest.mark.parametrize(("allowed", "outcome"), [(34, Outcome.UP), (33, Outcome.DOWN)])
async def test_loss_is_judged_by_its_share(
    link: tuple[Wire, str], allowed: float, outcome: Outcome
) -> None:
    way, _ = link
    third = ("-m", "statistic", "--mode", "nth", "--every", "3", "--packet", "0")
    with way.rule("target", "INPUT", "-d", TARGET, *third, "-j", "DROP"), way.inside():
        result = await ping(TARGET, ProbeContext(timeout_ms=300), max_loss_percent=allowed)

    assert result.outcome is outcome
    assert facts(result)["received"] == 2
    if result.failure is not None:
        assert failure(result) == (
            ErrorType.PACKET_LOSS,
            f"1 of 3 requests to {TARGET} without a reply: 33.3 % lost, at most 33 % allowed",
        )


async def test_a_router_that_refuses_is_named(link: tuple[Wire, str]) -> None:
    way, _ = link
    refuse = ("-j", "REJECT", "--reject-with", "icmp-host-prohibited")
    with way.rule("router", "FORWARD", "-d", TARGET, *refuse), way.inside():
        result = await ping(TARGET)

    assert failure(result) == (
        ErrorType.CONNECT_UNREACHABLE,
        f"{ROUTER} reports of {TARGET}: host administratively prohibited (3 times)",
    )


async def test_a_router_of_ipv6_that_refuses_is_named(link: tuple[Wire, str]) -> None:
    way, _ = link
    refuse = ("-j", "REJECT", "--reject-with", "icmp6-addr-unreachable")
    with way.rule("router", "FORWARD", "-d", TARGET6, *refuse), way.inside():
        result = await ping(TARGET6)

    assert failure(result) == (
        ErrorType.CONNECT_UNREACHABLE,
        f"{ROUTER6} reports of {TARGET6}: address unreachable (3 times)",
    )


@pytest.mark.parametrize(
    ("target", "router", "text"),
    [(TARGET, ROUTER, "time to live"), (TARGET6, ROUTER6, "hop limit")],
)
async def test_a_ttl_that_does_not_reach_names_the_router_where_it_ended(
    link: tuple[Wire, str], target: str, router: str, text: str
) -> None:
    way, _ = link
    with way.inside():
        result = await ping(target, ttl=1)

    assert failure(result) == (
        ErrorType.TTL_EXCEEDED,
        f"{router} reports of {target}: {text} exceeded in transit (3 times)",
    )


@pytest.mark.parametrize(
    ("target", "router"), [(TARGET, ROUTER), (TARGET6, ROUTER6)], ids=["v4", "v6"]
)
async def test_a_path_too_narrow_for_the_packet_is_found_at_every_check(
    link: tuple[Wire, str], target: str, router: str
) -> None:
    way, _ = link
    with way.inside():
        fitting = await ping(target, dont_fragment=True, size=MTU - 48)
        found = [failure(await ping(target, dont_fragment=True, size=1400)) for _ in range(2)]
        whole = await ping(TARGET, size=1400)

    assert fitting.outcome is Outcome.UP
    assert whole.outcome is Outcome.UP
    for kind, text in found:
        assert kind is ErrorType.PACKET_TOO_BIG
        assert text.startswith(f"{router} reports of {target}: ")
        assert f"at most {MTU} bytes pass (3 times)" in text


async def test_a_packet_that_does_not_leave_the_host_is_told_with_its_size(way: Wire) -> None:
    with way.inside():
        result = await ping("10.214.3.1", dont_fragment=True, size=2000)

    text = "a packet of 2028 bytes to 10.214.3.1 does not leave this host: the MTU on the way is"
    assert failure(result) == (ErrorType.PACKET_TOO_BIG, f"{text} at most 1500")


async def test_the_largest_packet_comes_back_in_fragments(link: tuple[Wire, str]) -> None:
    way, _ = link
    with way.inside():
        result = await ping(TARGET, size=65_507, count=2)

    assert facts(result)["received"] == 2


async def test_it_pings_from_the_wanted_address_only(way: Wire) -> None:
    with way.rule("target", "INPUT", "!", "-s", AGENT, "-j", "DROP"), way.inside():
        good = await ping(TARGET, source=AGENT)
        foreign = await ping(TARGET, source="10.9.9.9")

    assert good.outcome is Outcome.UP
    kind, text = failure(foreign)
    assert (kind, foreign.outcome) == (ErrorType.MISCONFIGURED, Outcome.UNKNOWN)
    assert "no source address 10.9.9.9" in text


async def test_a_host_without_a_route_is_unreachable(odd_network: Tunnel) -> None:
    with odd_network.inside():
        result = await ping("192.0.2.1")

    text = "no route to the network of 192.0.2.1"
    assert failure(result) == (ErrorType.CONNECT_UNREACHABLE, text)


async def test_a_forbidden_address_is_not_pinged() -> None:
    context = ProbeContext(timeout_ms=1000, guard=AddressGuard.of("default"))
    result = await ping("127.0.0.1", context)

    assert failure(result)[0] is ErrorType.ADDRESS_FORBIDDEN


async def test_more_requests_than_fit_into_the_timeout_are_a_fault_of_the_row() -> None:
    result = await ping("127.0.0.1", ProbeContext(timeout_ms=1000), count=11, interval_ms=100)

    assert failure(result)[0] is ErrorType.MISCONFIGURED
    assert result.outcome is Outcome.UNKNOWN


def test_without_privileges_it_pings_if_the_group_may(way: Wire) -> None:
    with way.ping_groups(f"{NOBODY} {NOBODY}"):
        code, said = _as_nobody(way)

    assert (code, said) == (0, "up datagram")


def test_without_any_right_it_is_unknown_and_says_what_is_missing(way: Wire) -> None:
    with way.ping_groups(NO_GROUPS):
        code, said = _as_nobody(way)

    assert code == 0
    assert said == (
        "unknown agent_lacks_permission this host does not let the agent ping: either its group"
        f" (now {NOBODY}) has to be within the sysctl net.ipv4.ping_group_range"
        ' (now "1 0"), or the agent needs the capability CAP_NET_RAW'
    )


_CHILD = f"""
import asyncio, os
from uptimeo.probes.ping.filters import only_with
from uptimeo.probes.ping.packets import REPLY
from uptimeo.probes.ping.probe import PingOptions, PingProbe
from uptimeo.probes.base import ProbeContext
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
options = PingOptions(url="ping://{TARGET}", interval_ms=10)
result = asyncio.run(PingProbe().probe(options, ProbeContext(timeout_ms=3000)))
why = result.failure and (result.failure.type + " " + result.failure.message)
print(result.outcome, why or result.facts["ping"]["socket"])
"""


def _as_nobody(way: Wire) -> tuple[int, str]:
    """A ping in a process that gave all its rights away."""
    with way.inside():
        ended = subprocess.run(
            (sys.executable, "-c", _CHILD), capture_output=True, text=True, timeout=30, check=False
        )
    return ended.returncode, ended.stdout.strip() or ended.stderr


async def test_of_200_targets_at_once_the_dead_ones_take_nobody_elses_reply(
    link: tuple[Wire, str],
) -> None:
    way, _ = link
    alive = [f"10.214.3.{number}" for number in range(1, 101)]
    dead = [f"10.214.4.{number}" for number in range(1, 101)]
    both = [host for pair in zip(alive, dead, strict=True) for host in pair]
    with way.rule("target", "INPUT", "-d", "10.214.4.0/24", "-j", "DROP"), way.inside():
        found = await asyncio.gather(*(ping(host, interval_ms=100) for host in both))
        results = dict(zip(both, found, strict=True))

    assert [host for host in alive if results[host].failure is not None] == []
    assert [host for host in dead if facts(results[host])["received"]] == []
    assert {failure(results[host])[0] for host in dead} == {ErrorType.NO_REPLY}


async def test_200_checks_of_one_host_each_hear_their_own_replies(link: tuple[Wire, str]) -> None:
    way, _ = link
    with way.inside():
        results = await asyncio.gather(*(ping(TARGET, interval_ms=50) for _ in range(200)))

    assert {facts(result)["received"] for result in results} == {3}
    assert not any("duplicates" in facts(result) for result in results)


@pytest.mark.parametrize("network", ["10.215.1.{}", "fd15:1::{:x}"], ids=["v4", "v6"])
@pytest.mark.parametrize("groups", [ALL_GROUPS, NO_GROUPS], ids=["datagram", "raw"])
async def test_shuffled_doubled_and_misdirected_replies_make_nobody_up(
    odd_network: Tunnel, groups: str, network: str
) -> None:
    """Of 200 targets the even ones are dead; replies meant for others come from their addresses."""
    held: list[bytes] = []
    chance = random.Random(1)

    def script(packet: bytes) -> list[bytes]:
        if not is_echo_request(packet):
            return []
        stem, number = destination(packet)[:-1], destination(packet)[-1]
        if number % 2 == 0:  # dead: its neighbour answers in its place, and it with others' data
            forged = echo_reply(packet, payload=chance.randbytes(56))
            return [echo_reply(packet, source=stem + bytes([number - 1])), forged]
        held.extend([echo_reply(packet)] * 2)
        if len(held) < 40:
            return []
        chance.shuffle(held)
        out = [held.pop() for _ in range(len(held))]
        return [*out, echo_reply(packet, source=stem + bytes([number + 1]))]

    hosts = [network.format(number) for number in range(1, 201)]
    _allow(odd_network, groups)
    with odd_network.answering(script), odd_network.inside():
        context = [ProbeContext(timeout_ms=2000) for _ in hosts]
        results = await asyncio.gather(
            *(ping(*each, interval_ms=200) for each in zip(hosts, context, strict=True))
        )

    assert [result.outcome for result in results[1::2]] == [Outcome.DOWN] * 100
    assert {facts(result)["received"] for result in results[1::2]} == {0}
    assert [result.outcome for result in results[0::2]] == [Outcome.UP] * 100


@pytest.mark.parametrize("target", ["10.215.1.1", "fd15:1::1"])
async def test_a_reply_with_other_data_is_no_reply_and_is_counted(
    odd_network: Tunnel, target: str
) -> None:
    def script(packet: bytes) -> list[bytes]:
        return [echo_reply(packet, payload=packet[-56:-24])] if is_echo_request(packet) else []

    with odd_network.answering(script), odd_network.inside():
        result = await ping(target, ProbeContext(timeout_ms=200))

    assert failure(result)[0] is ErrorType.NO_REPLY
    assert "3 replies came back changed" in failure(result)[1]


@pytest.mark.parametrize("target", ["10.215.1.1", "fd15:1::1"])
@pytest.mark.parametrize("groups", [ALL_GROUPS, NO_GROUPS], ids=["datagram", "raw"])
@pytest.mark.parametrize("forged", ["doubled", "changed", "stray", "strange"])
async def test_a_flood_of_forged_replies_is_no_answer(
    odd_network: Tunnel, target: str, groups: str, forged: str
) -> None:
    def script(packet: bytes) -> list[bytes]:
        if not is_echo_request(packet):
            return []
        reply = {
            "doubled": echo_reply(packet),
            "changed": echo_reply(packet, payload=packet[-56:-1]),
            "stray": echo_reply(packet, payload=b"x" * 56),
            "strange": echo_reply(packet, source=destination(packet)[:-1] + b"\x09"),
        }[forged]
        return [reply] * 200

    _allow(odd_network, groups)
    with odd_network.answering(script), odd_network.inside():
        result = await ping(target, ProbeContext(timeout_ms=1000), count=40)

    heard_by_none = forged == "strange" and groups == NO_GROUPS
    kind, text = failure(result)
    assert kind is (ErrorType.NO_REPLY if heard_by_none else ErrorType.UNEXPECTED)
    assert (
        heard_by_none or f"more than 1000 packets came that answer no request to {target}" in text
    )


async def test_junk_and_errors_about_others_are_left_out(odd_network: Tunnel) -> None:
    def unreachable(packet: bytes, quoted: bytes) -> bytes:
        bare = struct.pack("!BBHI", 3, 1, 0, 0) + quoted
        message = bare[:2] + checksum(bare) + bare[4:]
        return ip_header(1, socket.inet_aton("10.215.9.9"), packet[12:16], len(message)) + message

    def script(packet: bytes) -> list[bytes]:
        if not is_echo_request(packet):
            return []
        other = packet[:24] + bytes([packet[24] ^ 1, packet[25] ^ 1]) + packet[26:]
        short = ip_header(1, packet[16:20], packet[12:16], 3) + b"\x00\x00\x00"
        return [short, unreachable(packet, other[:28]), unreachable(packet, packet[:24])]

    with odd_network.answering(script), odd_network.inside():
        result = await ping("10.215.1.1", ProbeContext(timeout_ms=200))

    assert failure(result)[0] is ErrorType.NO_REPLY


def _allow(network: Tunnel, groups: str) -> None:
    with network.inside():
        wires.GROUPS.write_text(groups)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ping://"},
        {"url": "ping://host:7"},
        {"url": "ping://host/path"},
        {"url": "http://host"},
        {"count": 0},
        {"count": 101},
        {"size": 8},
        {"size": 65_508},
        {"ttl": 256},
        {"max_loss_percent": 100},
        {"source": "here"},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PingOptions.model_validate({"url": "ping://host", **wrong})

"""Does each phase hold the time that was spent in it, and no other?"""

import asyncio
import socket

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, milliseconds, up
from tests.support.servers import (
    OK,
    Address,
    Site,
    answering,
    answering_then_stalled,
    deaf,
    delaying_relay,
    refusing,
    serve,
)
from uptimeo.domain.result import ErrorType, Phase, Phases, ProbeResult

DELAY_S = 0.25
DELAY_MS = DELAY_S * 1000
CLOCK_MS = 2.0  # timers of the event loop may fire that much early


def assert_spent_only_in(result: ProbeResult, phase: Phase, at_least_ms: float = DELAY_MS) -> None:
    phases = dict(result.phases.measured())
    delayed = phases.pop(phase)
    assert delayed >= at_least_ms - CLOCK_MS
    assert all(value < at_least_ms / 2 for value in phases.values()), result.phases


async def test_a_literal_address_has_no_dns_phase() -> None:
    async with serve(Site()) as server:
        result = up(await check(server.url()))

    assert result.phases.dns is None
    assert result.resolved_ip == "127.0.0.1"


async def test_a_literal_ipv6_address_has_no_dns_phase() -> None:
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    async with serve(Site(), host="::1") as server:
        result = up(await check(server.url()))

    assert result.phases.dns is None
    assert result.resolved_ip == "::1"


async def test_a_name_has_a_dns_phase() -> None:
    async with serve(Site()) as server:
        result = up(await check(server.url(host="localhost")))

    assert milliseconds(result.phases.dns) > 0
    assert result.resolved_ip == "127.0.0.1"


async def test_plain_http_has_no_tls_and_no_redirect_phase() -> None:
    async with serve(Site()) as server:
        result = up(await check(server.url()))

    assert [phase for phase, _ in result.phases.measured()] == [
        Phase.CONNECT,
        Phase.SEND,
        Phase.WAIT,
        Phase.TRANSFER,
    ]


async def test_every_check_opens_a_connection_of_its_own() -> None:
    async with serve(Site()) as server:
        first, second = [up(await check(server.url())) for _ in range(2)]

    assert milliseconds(first.phases.connect) > 0
    assert milliseconds(second.phases.connect) > 0


async def test_a_late_accept_is_spent_in_connect() -> None:
    with deaf() as (address, listener):
        checking = asyncio.create_task(check(address.url(), timeout_ms=5000))
        await asyncio.sleep(DELAY_S)
        queued, _ = listener.accept()
        queued.close()
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            accepted.setblocking(False)
            await loop.sock_recv(accepted, 65_536)
            await loop.sock_sendall(accepted, OK)
            result = up(await checking)

    assert_spent_only_in(result, Phase.CONNECT)


async def test_a_slow_handshake_is_spent_in_tls() -> None:
    authority = Authority.new()
    async with (
        serve(Site(), tls=authority.valid()) as server,
        delaying_relay(server, DELAY_S) as relay,
    ):
        result = up(await check(relay.url(), ca_pem=authority.pem))

    assert_spent_only_in(result, Phase.TLS)


async def test_a_late_first_byte_is_spent_in_wait() -> None:
    async with serve(answering(OK, first_after_s=DELAY_S)) as server:
        result = up(await check(server.url()))

    assert_spent_only_in(result, Phase.WAIT)
    assert milliseconds(result.ttfb_ms) >= DELAY_MS - CLOCK_MS


async def test_a_late_body_is_spent_in_transfer() -> None:
    async with serve(answering(OK[:-2], OK[-2:], between_s=DELAY_S)) as server:
        result = up(await check(server.url()))

    assert_spent_only_in(result, Phase.TRANSFER)
    assert milliseconds(result.ttfb_ms) < DELAY_MS / 2


async def test_first_byte_and_body_are_told_apart_over_tls() -> None:
    authority = Authority.new()
    script = answering(OK[:-2], OK[-2:], first_after_s=DELAY_S, between_s=2 * DELAY_S)
    async with serve(script, tls=authority.valid()) as server:
        result = up(await check(server.url(), ca_pem=authority.pem))

    assert DELAY_MS - CLOCK_MS <= milliseconds(result.phases.wait) < 2 * DELAY_MS
    assert milliseconds(result.phases.transfer) >= 2 * DELAY_MS - CLOCK_MS
    assert milliseconds(result.phases.tls) > 0


async def test_the_time_to_first_byte_is_the_sum_of_what_came_before_it() -> None:
    async with serve(answering(OK, first_after_s=DELAY_S)) as server:
        result = up(await check(server.url(host="localhost")))

    before = result.phases.total() - milliseconds(result.phases.transfer)
    assert before <= milliseconds(result.ttfb_ms) + 0.01
    assert milliseconds(result.ttfb_ms) <= before + milliseconds(result.other_ms) + 0.01


async def test_the_earlier_hops_are_spent_in_redirect() -> None:
    site = Site(
        pages={
            "/": b"HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n",
        },
        delays={"/": DELAY_S},
    )
    async with serve(site) as server:
        result = up(await check(server.url()))

    assert_spent_only_in(result, Phase.REDIRECT)
    assert milliseconds(result.ttfb_ms) >= DELAY_MS - CLOCK_MS


async def test_what_was_not_reached_is_none_when_a_port_refuses() -> None:
    with refusing() as address:
        result = await check(address.url())

    failure_of(result, ErrorType.CONNECT_REFUSED)
    assert result.phases == Phases(connect=result.phases.connect)
    assert result.ttfb_ms is None
    assert result.resolved_ip == "127.0.0.1"


async def test_what_was_not_reached_is_none_when_a_name_does_not_resolve() -> None:
    result = await check("https://nothing.invalid/")

    assert result.phases == Phases(dns=result.phases.dns)
    assert result.phases.dns is not None
    assert result.resolved_ip is None


async def test_a_failed_handshake_holds_the_time_until_the_failure() -> None:
    async with (
        serve(Site(), tls=Authority.new().valid()) as server,
        delaying_relay(server, DELAY_S) as relay,
    ):
        result = await check(relay.url())

    failure_of(result, ErrorType.TLS_UNTRUSTED)
    assert_spent_only_in(result, Phase.TLS)
    assert (result.phases.send, result.phases.wait, result.phases.transfer) == (None, None, None)


async def test_a_failed_wait_holds_the_time_until_the_failure() -> None:
    async with serve(answering(first_after_s=DELAY_S)) as server:
        result = await check(server.url())

    failure_of(result, ErrorType.EMPTY_RESPONSE)
    assert_spent_only_in(result, Phase.WAIT)
    assert result.phases.transfer is None
    assert result.ttfb_ms is None


async def test_a_failed_transfer_holds_the_time_until_the_failure() -> None:
    async with serve(answering_then_stalled(OK[:-1])) as server:
        result = await check(server.url(), timeout_ms=int(DELAY_MS))

    failure_of(result, ErrorType.TRANSFER_TIMEOUT)
    assert_spent_only_in(result, Phase.TRANSFER, at_least_ms=DELAY_MS / 2)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_fast_answer_is_fast_in_every_phase(name: str) -> None:
    async with serve(Site()) as server:
        result = up(await check(server.url(host=name)))

    assert all(value < 500 for _, value in result.phases.measured())


async def test_the_scheme_in_capitals_is_measured_like_any_other() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        shouted = Address(port=server.port, scheme="HTTPS").url()
        result = up(await check(shouted, ca_pem=authority.pem))

    assert milliseconds(result.phases.tls) > 0

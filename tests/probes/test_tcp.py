"""Does a TCP check send and expect as it was told, and say what came instead?"""

import asyncio
import base64
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.servers import HOST, hanging_up, mute, refusing, serve
from tests.support.wire_checks import check, dripping, echoing, failure_of, up
from tests.support.zoo import Zoo
from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.base import Address, Family, Limits, ProbeContext
from uptimeo.probes.dialogues.tcp import TcpOptions, TcpProbe


def at(port: int) -> str:
    return f"tcp://{HOST}:{port}"


async def test_to_be_connected_is_enough_without_steps() -> None:
    async with serve(mute) as server:
        result = up(await check(TcpProbe(), at(server.port)))

    assert result.phases.connect is not None
    assert result.resolved_ip == HOST
    assert result.facts == {}


async def test_a_closed_port_is_refused() -> None:
    with refusing() as server:
        result = await check(TcpProbe(), at(server.port))

    assert failure_of(result, ErrorType.CONNECT_REFUSED).phase is Phase.CONNECT


async def test_what_is_expected_is_found_over_fragments_and_the_rest_is_left() -> None:
    banner = b"220 mail ready\r\nnext line\r\n"
    steps = (
        {"expect": "220 "},
        {"expect_regex": "ready\r\n"},
        {"expect_base64": base64.b64encode(b"next line\r\n").decode()},
    )
    async with serve(dripping([banner[i : i + 1] for i in range(len(banner))])) as server:
        result = up(await check(TcpProbe(), at(server.port), steps=steps))

    assert result.phases.wait is not None


async def test_bytes_that_are_no_text_are_sent_and_expected() -> None:
    sent, answer = bytes(range(256)), b"\xff\x00\xfe tail"
    heard = bytearray()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readexactly(256))
        writer.write(answer)
        await reader.read()

    steps = (
        {"send_base64": base64.b64encode(sent).decode()},
        {"expect_base64": base64.b64encode(answer[:2]).decode()},
        {"expect_regex": "tail$"},
    )
    async with serve(script) as server:
        up(await check(TcpProbe(), at(server.port), steps=steps))

    assert heard == sent


async def test_an_umlaut_that_is_cut_in_two_packets_is_found_by_a_pattern() -> None:
    steps = ({"expect_regex": "^gr(ü|u)n"}, {"expect": "!"})
    async with serve(dripping([b"gr\xc3", b"\xbcn!"])) as server:
        up(await check(TcpProbe(), at(server.port), steps=steps))


async def test_another_answer_fails_at_once_and_is_quoted() -> None:
    steps = ({"send": "PING\r\n"}, {"expect": "+PONG\r\n"})
    async with serve(echoing(b"-ERR no\r\n")) as server:
        result = await check(TcpProbe(), at(server.port), timeout_ms=60_000, steps=steps)

    failure = failure_of(result, ErrorType.UNEXPECTED)
    assert failure.message == (
        f"step 2 of 2: {server.shown}: expected '+PONG\\r\\n', came '-ERR no\\r\\n'"
    )
    assert failure.phase is Phase.WAIT


@pytest.mark.parametrize(
    ("parts", "stay", "expected", "came"),
    [
        ([b"hello"], True, ErrorType.UNEXPECTED, "came 'hello'"),
        ([b"hello"], False, ErrorType.UNEXPECTED, "came 'hello'"),
        ([], True, ErrorType.FIRST_BYTE_TIMEOUT, "came nothing"),
        ([], False, ErrorType.EMPTY_RESPONSE, "came nothing"),
    ],
)
async def test_a_pattern_that_never_comes_is_told_with_what_came(
    parts: list[bytes], stay: bool, expected: ErrorType, came: str
) -> None:
    async with serve(dripping(parts, stay)) as server:
        result = await check(
            TcpProbe(), at(server.port), timeout_ms=200, steps=({"expect_regex": "bye"},)
        )

    message = failure_of(result, expected).message
    assert "expected a match of 'bye'" in message
    assert came in message


async def test_an_endless_answer_ends_at_the_limit() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    options = TcpOptions.model_validate({"url": "tcp://h:1", "steps": [{"expect_regex": "y"}]})
    context = ProbeContext(timeout_ms=5000, limits=Limits(line_bytes=10_000))
    async with serve(script) as server:
        given = options.model_copy(update={"url": at(server.port)})
        result = await TcpProbe().probe(given, context)

    failure_of(result, ErrorType.BODY_TOO_LARGE)


async def test_a_pattern_without_end_is_given_up() -> None:
    async with serve(dripping([b"a" * 60 + b"!"])) as server:
        result = await check(TcpProbe(), at(server.port), steps=({"expect_regex": r"(a|a|aa)+\d"},))

    assert "did not come to an end" in failure_of(result, ErrorType.UNEXPECTED).message


async def test_the_steps_are_taken_inside_tls_and_the_certificate_is_asserted() -> None:
    animal = Zoo.new().animals["good"]
    steps = ({"send": "PING\r\n"}, {"expect": "+PONG\r\n"})
    assertions = (
        {"kind": "certificate", "min_days": 59},
        {"kind": "certificate", "min_days": 61},
        {"kind": "latency", "of": "tls", "max_ms": 3000},
    )
    async with serve(echoing(b"+PONG\r\n"), tls=animal.server()) as server:
        url = f"tcp://localhost:{server.port}"
        tls = animal.options()
        result = await check(TcpProbe(), url, tls=tls, steps=steps, assertions=assertions)

    message = failure_of(result, ErrorType.ASSERTION).message
    assert "expected a certificate that is valid for at least 61 days" in message
    assert [each["ok"] for each in result.facts["assertions"]] == [True, False, True]
    assert result.facts["certificate"]["names"] == ["localhost", "127.0.0.1"]


async def test_a_server_without_tls_is_a_tls_error() -> None:
    async with serve(hanging_up) as server:
        result = await check(TcpProbe(), at(server.port), tls={})

    assert failure_of(result, ErrorType.TLS).phase is Phase.TLS


@pytest.mark.parametrize(
    "options",
    [
        {"url": "tcp://host"},
        {"url": "tcp://host:0"},
        {"url": "tcp://user@host:1"},
        {"url": "tcp://host:1/path"},
        {"url": "http://host:1"},
        {"url": "tcp://host:1", "steps": [{"send": "a", "expect": "b"}]},
        {"url": "tcp://host:1", "steps": [{}]},
        {"url": "tcp://host:1", "steps": [{"send_base64": "%"}]},
        {"url": "tcp://host:1", "steps": [{"expect_regex": "("}]},
        {"url": "tcp://host:1", "starttls": "ftp"},
        {"url": "tcp://host:1", "source": "here"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TcpOptions.model_validate(options)


class BothFamilies:
    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        return (Address("::1" if family is Family.V6 else HOST),)


async def test_a_port_is_tried_by_both_families() -> None:
    context = ProbeContext(timeout_ms=3000, resolver=BothFamilies())
    async with serve(mute) as four:
        options = TcpOptions(url=f"tcp://both.test:{four.port}", family="both")
        half = await TcpProbe().probe(options, context)
        async with serve(mute, host="::1", port=four.port):
            whole = up(await TcpProbe().probe(options, context))

    assert failure_of(half, ErrorType.CONNECT_REFUSED).message == (
        f"by v6: connection refused by [::1]:{four.port}; by v4 it is up"
    )
    assert {name: each["ip"] for name, each in whole.facts["families"].items()} == {
        "v4": HOST,
        "v6": "::1",
    }

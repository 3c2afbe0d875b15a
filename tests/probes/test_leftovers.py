"""Is a failed check gone when it has ended? Else its memory waits for the collector of cycles."""

import asyncio
import gc
import socket
import types
from collections.abc import Iterator
from typing import Any

import pytest

import uptimeo
from tests.faults.hostile_tls import long_chain
from tests.support.servers import HOST, Script, mute, serve
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.failing import TargetError
from uptimeo.probes.registry import ProbeRegistry

_JUNK = b"\x15\x03\x03\x00\x02\x02\x28"  # also what TLS says for "handshake failure"
_FORMS: dict[str, dict[str, Any]] = {
    "tcp://{at}": {"steps": [{"expect": "never"}]},
    "tls://{at}": {},
    "smtp://{at}": {},
    "imap://{at}": {"security": "tls"},
    "pop3://{at}": {},
    "ws://{at}/": {},
    "wss://{at}/": {},
    "grpc://{at}": {},
    "postgresql://user:secret@{at}/database": {"query": "SELECT 1"},
    "dns://{at}/a.example": {"transport": "tls"},
    "http://{at}/": {},
    "https://{at}/": {},
}


async def saying_junk(reader: Any, writer: Any) -> None:
    writer.write(_JUNK)
    await writer.drain()
    await mute(reader, writer)


def is_ours(thing: object) -> bool:
    if isinstance(thing, types.FrameType):
        return thing.f_code.co_filename.startswith(uptimeo.__path__[0])
    return isinstance(thing, TargetError)


@pytest.fixture
def garbage() -> Iterator[list[Any]]:
    """What only the collector of cycles would have found; begins with nothing."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def fail_at(url: str, options: dict[str, Any], timeout_ms: int = 300) -> None:
    registry = ProbeRegistry.installed()
    probe = registry.get(url.partition(":")[0])
    assert probe is not None
    given = probe.options.model_validate({"url": url, **options})
    result = await probe.probe(given, ProbeContext(timeout_ms=timeout_ms))
    await registry.aclose()
    assert result.failure is not None
    await asyncio.sleep(0)  # the loop lets go of the callbacks of what was awaited last


def found_in(garbage: list[Any]) -> list[str]:
    gc.collect()
    return [str(thing) for thing in garbage if is_ours(thing)]


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("script", [mute, saying_junk])
async def test_a_failed_check_leaves_nothing_to_the_collector(
    form: str, script: Script, garbage: list[Any]
) -> None:
    async with serve(script) as server:
        await fail_at(form.format(at=f"{HOST}:{server.port}"), _FORMS[form])

    assert found_in(garbage) == []


async def test_nor_does_one_whose_handshake_is_read_in_a_thread(garbage: list[Any]) -> None:
    async with serve(mute, tls=long_chain(100)) as server:
        await fail_at(f"tls://{HOST}:{server.port}", {}, timeout_ms=10_000)

    assert found_in(garbage) == []


@pytest.mark.parametrize("form", _FORMS)
async def test_nor_does_one_that_was_refused(form: str, garbage: list[Any]) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))  # and does not listen
        await fail_at(form.format(at=f"{HOST}:{taken.getsockname()[1]}"), _FORMS[form])

    assert found_in(garbage) == []


@pytest.mark.parametrize("form", [form for form in _FORMS if not form.startswith("postgres")])
async def test_nor_does_one_whose_name_has_no_address(form: str, garbage: list[Any]) -> None:
    await fail_at(form.format(at="nothing.invalid:80"), _FORMS[form])

    assert found_in(garbage) == []

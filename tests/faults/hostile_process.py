"""Where do the hostile endpoints listen? In a process of their own, so that its memory is not ours.

`python -m tests.faults.hostile_process` prints the port of each as one line of JSON, and serves
until its standard input ends. It gives way to every other process of the host, as one at the
other end of a network would.
"""

import asyncio
import os
import ssl
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from tests.faults.hostile import Datagrams, Hostile
from tests.faults.hostile_http import gzip_bomb, http
from tests.faults.hostile_pings import flood, pings
from tests.faults.hostile_streams import streams
from tests.faults.hostile_tls import tls
from tests.support.servers import HOST, Script, serve
from uptimeo.children import announce, ended


def hostile() -> list[Hostile]:
    """All of them, in the order of the ports."""
    return [*http(), *streams(), *tls(), *pings()]


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, answers: Datagrams) -> None:
        self._answers = answers
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._answers(data):
            self._transport.sendto(answer, addr)


async def _listen(each: Hostile, stack: AsyncExitStack) -> int:
    context = None if each.tls is None else each.tls()
    address = await stack.enter_async_context(_quiet(each.script, context))
    if each.datagrams is not None:
        protocol = _Answering(each.datagrams)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: protocol, (HOST, address.port)
        )
        stack.callback(transport.close)
    return int(address.port)


def _quiet(script: Script, context: ssl.SSLContext | None) -> Any:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ValueError, AssertionError):  # what is no request is no news here
            await script(reader, writer)

    return serve(run, tls=context)


async def _serve() -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as floods:
        ports = [await _listen(each, stack) for each in hostile()]
        flooding = [
            floods.create_task(flood(str(urlsplit(each.url).hostname), each.floods))
            for each in hostile()
            if each.floods is not None
        ]
        stopped = ended()
        announce({"ports": ports})
        await stopped.wait()
        for each in flooding:
            each.cancel()


def main() -> None:
    """Serve, behind everybody else."""
    os.nice(10)
    gzip_bomb()
    asyncio.run(_serve(), debug=False)


if __name__ == "__main__":
    main()

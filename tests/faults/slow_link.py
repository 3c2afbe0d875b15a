"""What is a database like that is far away? A TCP relay that delays every byte, each way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 65536
_CHUNKS_UNDER_WAY = 1000


@asynccontextmanager
async def slow_link(listen: str, host: str, port: int, delay_s: float) -> AsyncIterator[int]:
    """Relay from a free port of `listen` to `host`; answers with the port.

    What arrives is passed on `delay_s` later: as on a long line, much may be under way.
    """

    open_ends: set[asyncio.StreamWriter] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        open_ends.update((writer, back))
        async with asyncio.TaskGroup() as both:
            both.create_task(_delayed(reader, back, delay_s))
            both.create_task(_delayed(there, writer, delay_s))

    server = await asyncio.start_server(relay, listen, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for end in open_ends:
            end.transport.abort()
        await asyncio.sleep(2 * delay_s)  # what was under way arrives at closed ends


async def _delayed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
) -> None:
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
    delivering = asyncio.create_task(_deliver(under_way, writer))
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            await under_way.put((loop.time() + delay_s, data))
    await under_way.put((loop.time() + delay_s, b""))
    await delivering


async def _deliver(
    under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    writer.close()

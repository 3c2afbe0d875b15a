"""One HTTP request, as a scraper or an orchestrator sends it."""

import asyncio


async def asked(
    address: str, path: str, method: str = "GET", *lines: str
) -> tuple[int, str, bytes]:
    """Status, headers in small letters, and body."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [f"{method} {path} HTTP/1.1", f"Host: {address}", "Connection: close", *lines]
    writer.write("\r\n".join([*head, "", ""]).encode())
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    headers, _, body = answer.partition(b"\r\n\r\n")
    return int(headers.split()[1]), headers.decode().lower(), body

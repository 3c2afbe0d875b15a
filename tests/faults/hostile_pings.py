"""What can a host do to whom pings it? Endpoints for `ping`: floods of forged replies.

Their addresses are of loopback, where the kernel answers too: in the midst of the flood.
"""

import asyncio
import os
import socket
from collections.abc import Callable

from tests.faults.hostile import Hostile
from tests.support.servers import mute
from tests.support.tunnel import echo_reply, is_echo_request
from uptimeo.domain.result import ErrorType

_FLOOD_S, _EVERY_S = 1.0, 0.002
_AT_ONCE = 20
_HEADER = 20
# Its requests take almost all of its timeout, so that the flood meets each of them.
_LASTING = {"count": 5, "interval_ms": 200}


def _doubled(request: bytes) -> bytes:
    return echo_reply(request)


def _changed(request: bytes) -> bytes:
    return echo_reply(request, payload=request[-56:-1])


def _stray(request: bytes) -> bytes:
    return echo_reply(request, payload=bytes(56))


def pings() -> list[Hostile]:
    """All of them; none without the right to forge, which takes root."""
    if os.geteuid() != 0:
        return []
    kinds = {"doubled": _doubled, "changed": _changed, "stray": _stray}
    return [
        Hostile(
            f"flood of {name} replies",
            mute,
            (ErrorType.UNEXPECTED,),
            "ping",
            f"ping://127.0.7.{number}",
            _LASTING,
            floods=forge,
        )
        for number, (name, forge) in enumerate(kinds.items(), start=1)
    ]


async def flood(host: str, forge: Callable[[bytes], bytes]) -> None:
    """Answer each echo request to that address by a second of forged replies, 10,000 at most."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as opened:
        opened.setblocking(False)
        opened.bind((host, 0))
        while True:
            packet, sender = await loop.sock_recvfrom(opened, 65_536)
            if not is_echo_request(packet):
                continue
            message, until = forge(packet)[_HEADER:], loop.time() + _FLOOD_S
            while loop.time() < until:
                _send(opened, message, sender)
                await asyncio.sleep(_EVERY_S)


def _send(opened: socket.socket, message: bytes, to: tuple[str, int]) -> None:
    try:
        for _ in range(_AT_ONCE):
            opened.sendto(message, to)
    except BlockingIOError:
        return

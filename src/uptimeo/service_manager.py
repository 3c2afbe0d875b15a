"""What does the service manager hear of this process? The protocol of sd_notify(3).

Whoever is run as a service may call it. Without NOTIFY_SOCKET in the environment nothing is said.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# How late a new state is told; within it, the watchdog is told as often as it asks for.
_EVERY_S = 1.0
_NOT_READY_S = 0.1
_LONGEST_STATUS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How this process is: does it work at all, does it do its duty, and both in words."""

    alive: bool
    ready: bool
    status: str


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The manager that listens at `address`, and waits for a sign of life every `watchdog_s`."""

    address: str
    watchdog_s: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> "ServiceManager | None":
        """The one that started the process `pid`; None if there is none that can be told."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):
            return None
        usec = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watched = for_us and usec.isdecimal() and int(usec) > 0
        return cls(address, int(usec) / 1e6 if watched else None)

    async def keep_informed(self, look: Callable[[], Condition]) -> None:
        """Tell for ever how this process is: ready once it is, and alive while it is.

        Part of the event loop on purpose: one that stands still tells nothing, and is restarted.
        """
        ready, told = False, ""
        while True:
            now = look()
            if now.status != told and self.tell(_status(now.status)):
                told = now.status
            ready = ready or (now.ready and self.tell("READY=1"))
            if now.alive and self.watchdog_s is not None:
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self._pause_s(ready=ready))

    def starting(self, status: str) -> None:
        """Say what it waits for before it is ready."""
        self.tell(_status(status))

    def stopping(self) -> None:
        """Say that it ends, in order."""
        self.tell("STOPPING=1\nSTATUS=stopping")

    def tell(self, state: str) -> bool:
        """Send it; whether it was taken. A manager that does not listen holds up nobody."""
        # A name in the abstract namespace, which has no file, is written with an @.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(0)
                sending.sendto(state.encode(), address)
        except OSError:
            return False
        return True

    def _pause_s(self, *, ready: bool) -> float:
        pause_s = _EVERY_S if ready else _NOT_READY_S
        return pause_s if self.watchdog_s is None else min(pause_s, self.watchdog_s / 2)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"

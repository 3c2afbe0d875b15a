"""How is this host, as far as an agent depends on it? The facts of `HostFacts`, each in time."""

import asyncio
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from uptimeo.doctor import proc
from uptimeo.doctor.facts import HostFacts, Nameserver, OpsAnswer, Process, Seen, SpoolFacts, Unseen
from uptimeo.probes.exec.file import read_commands
from uptimeo.probes.failing import TargetError
from uptimeo.settings import Settings

T = TypeVar("T")
_PATIENCE_S = 4.0
_ANSWER_S = 1.2
_READY_BYTES = 65_536
# Who serves the root zone: every resolver answers, if only with a refusal.
_QUESTION = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x00\x00\x02\x00\x01"


async def gather(settings: Settings) -> HostFacts:
    """All of them at once; one that takes too long is `Unseen`."""
    lock = settings.spool_dir / "spool.lock"
    process = await seen(in_thread(lambda: proc.holder(lock)))
    agent = None if isinstance(process, Unseen) else process
    limit, ping, spool, servers, answer, commands = await asyncio.gather(
        seen(in_thread(lambda: proc.own_open_files() if agent is None else agent.open_files)),
        seen(in_thread(lambda: proc.own_rights() if agent is None else proc.rights_of(agent))),
        seen(in_thread(lambda: spool_facts(settings.spool_dir))),
        seen(in_thread(_nameservers)),
        seen(ready(settings, agent)),
        seen(in_thread(lambda: _commands(settings.exec_file))),
    )
    return HostFacts(
        process=process,
        open_files=limit,
        ping=ping,
        spool=spool,
        nameservers=servers,
        ready=answer,
        exec_file=commands,
    )


async def seen(fact: Awaitable[T]) -> Seen[T]:
    """The fact, or why it cannot be had."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await fact
    except TimeoutError:
        return Unseen(f"no answer within {_PATIENCE_S:g} s")
    except Exception as error:  # noqa: BLE001 - a bug here must not hide what else is wrong
        return Unseen(str(error) or type(error).__name__)


async def in_thread(work: Callable[[], T]) -> T:
    """What blocking work answers, in a thread that nobody waits for at the end.

    A disk that hangs keeps a thread for ever, and the pool of asyncio would be waited for.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(done: Callable[[], None]) -> None:
        if not answer.cancelled():
            done()

    def run() -> None:
        try:
            done = partial(answer.set_result, work())
        except Exception as error:  # noqa: BLE001 - handed on to who awaits it
            done = partial(answer.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, done)

    threading.Thread(target=run, daemon=True).start()
    return await answer


def spool_facts(directory: Path) -> SpoolFacts:
    """The directory, or the one above it that is there; writes a small file and removes it."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    place = place.resolve()
    room = os.statvfs(place)
    error, sync_ms = _written(place)
    return SpoolFacts(
        directory=directory,
        exists=directory.is_dir(),
        owner=place.stat().st_uid,
        me=proc.me(),
        error=error,
        sync_ms=sync_ms,
        file_system=proc.file_system(place),
        free_bytes=room.f_bavail * room.f_frsize,
        free_files=room.f_favail if room.f_files else None,
        spool_bytes=sum(_size(directory / name) for name in ("spool.db", "spool.db-wal")),
        asides=len(_asides(directory)),
    )


def _written(place: Path) -> tuple[str, float]:
    """Why no file can be made and brought to the disk there, and how long that took."""
    if not place.is_dir():
        return f"{place} is no directory", 0.0
    path = place / f".uptimeo-doctor-{secrets.token_hex(4)}"
    started = time.perf_counter()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\x00" * 4096)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink()
    except OSError as error:
        return error.strerror or str(error), 0.0
    return "", (time.perf_counter() - started) * 1000


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _asides(directory: Path) -> list[Path]:
    beside = ("-wal", "-shm")
    return [p for p in directory.glob("spool.db.bad-*") if not p.name.endswith(beside)]


def _nameservers() -> tuple[Nameserver, ...]:
    return tuple(Nameserver(address=each, after_ms=asked(each)) for each in proc.nameservers())


def asked(address: str, port: int = 53) -> float | None:
    """How many ms a name server took for an answer, of any kind; None: there was none."""
    number = secrets.token_bytes(2)
    started = time.perf_counter()
    try:
        where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(*where[:3]) as wire:
            wire.settimeout(_ANSWER_S)
            wire.connect(where[4])
            wire.send(number + _QUESTION)
            while wire.recv(4096)[:2] != number:
                pass
    except OSError:
        return None
    return (time.perf_counter() - started) * 1000


async def ready(settings: Settings, agent: Process | None) -> OpsAnswer | None:
    """What the agent's endpoint says; None where there is none to ask."""
    address = settings.ops_address()
    if address is None or agent is None or not address[1]:
        return None
    host, port = address
    try:
        reader, writer = await asyncio.open_connection(_own(host), port)
        try:
            writer.write(b"GET /readyz HTTP/1.0\r\nHost: uptimeo\r\n\r\n")
            answer = await reader.read(_READY_BYTES)
        finally:
            writer.close()
    except OSError as error:
        return OpsAnswer(None, os.strerror(error.errno) if error.errno else str(error))
    status = answer[9:12].decode("ascii", "replace")
    body = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    if not status.isdecimal():
        return OpsAnswer(None, "what came is no answer in HTTP")
    return OpsAnswer(int(status), _problems(body))


def _problems(body: str) -> str:
    """What the agent says is in its way, or else all that it said."""
    try:
        return "; ".join(json.loads(body)["problems"])
    except (ValueError, KeyError, TypeError):
        return body


def _own(host: str) -> str:
    """An address of this host for one that stands for all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}.get(host, host)  # noqa: S104


def _commands(path: Path | None) -> str:
    """What is in the file of commands, in words; "" without one. Raises ValueError if it is bad."""
    if path is None:
        return ""
    try:
        return f"{len(read_commands(path))} commands in {path}"
    except TargetError as error:
        raise ValueError(error.failure.message) from error

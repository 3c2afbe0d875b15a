"""An nginx on loopback, plain and with TLS, serving files of a given size."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

_CONFIG = """
pid {directory}/nginx.pid;
error_log {directory}/error.log;
daemon off;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
    fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        root {directory}/files;
        location /slow/ {{ limit_rate 400k; limit_rate_after 1k; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """Where it listens, and the CA of its certificate for `localhost` and 127.0.0.1."""

    http_port: int
    https_port: int
    ca_file: Path


def is_installed() -> bool:
    """Whether there is an nginx on this machine."""
    return _program() is not None


@contextmanager
def nginx(directory: Path) -> Iterator[Nginx]:
    """A running nginx with its files and its configuration in the directory."""
    program = _program()
    assert program is not None, "nginx is not installed"
    ports = [_free_port() for _ in range(2)]
    _write(directory, ports)
    process = subprocess.Popen([program, "-p", str(directory), "-c", str(directory / "nginx.conf")])
    try:
        for port in ports:
            _await_port(port)
        yield Nginx(http_port=ports[0], https_port=ports[1], ca_file=directory / "ca.pem")
    finally:
        process.terminate()
        process.wait()


def _program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _write(directory: Path, ports: list[int]) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(directory / "server.key"))
    with (directory / "server.pem").open("wb") as chain:
        for part in certificate.cert_chain_pems:
            chain.write(part.bytes())
    for name in ("files", "files/slow"):
        (directory / name).mkdir(mode=0o755)
        (directory / name / "hello.txt").write_bytes(b"hello\n")
        (directory / name / "large.bin").write_bytes(bytes(60_000))
    text = _CONFIG.format(directory=directory, http=ports[0], https=ports[1])
    (directory / "nginx.conf").write_text(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nginx does not listen on {port}"
            time.sleep(0.02)
        else:
            return

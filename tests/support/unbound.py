"""An unbound on loopback that knows a zone of its own, over UDP, TCP and TLS."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

HOST = "127.0.0.1"
_CONFIG = """
server:
    interface: {host}@{port}
    interface: {host}@{tls_port}
    port: {port}
    tls-port: {tls_port}
    tls-service-key: "{directory}/server.key"
    tls-service-pem: "{directory}/server.pem"
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{directory}"
    pidfile: ""
    use-syslog: no
    logfile: "{directory}/unbound.log"
    verbosity: 0
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
    ede: yes
    rrset-roundrobin: yes
    access-control: 127.0.0.0/8 allow
    local-zone: "refused.example." always_refuse
    local-zone: "gone.example." always_nxdomain
forward-zone:
    name: "silent.example."
    forward-addr: {host}@{silent_port}
forward-zone:
    name: "broken.example."
    forward-addr: {host}@{refusing_port}
    forward-tcp-upstream: yes
auth-zone:
    name: "zone.example."
    zonefile: "{directory}/zone"
    for-downstream: yes
    for-upstream: yes
remote-control:
    control-enable: no
"""
_ZONE = """$ORIGIN zone.example.
$TTL 60
@ SOA ns admin {serial} 3600 600 86400 60
@ NS ns
@ MX 10 mail
@ MX 20 backup.elsewhere.example.
@ CAA 0 issue "ca.example"
ns A 192.0.2.53
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
_https._tcp SRV 1 2 443 www
text TXT "v=spf1 -all" "second string"
"""
_LARGE = 40  # texts of 200 bytes: more than fit into a datagram of 1232
_MANY = 250  # records: more than a check reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """Where it listens, and the CA of its certificate for 127.0.0.1 in PEM format."""

    port: int
    tls_port: int
    ca_pem: str


def is_installed() -> bool:
    """Whether there is an unbound on this machine."""
    return _program() is not None


@contextmanager
def unbound(directory: Path, serial: int = 2024) -> Iterator[Unbound]:
    """A running unbound with its configuration in the directory."""
    program = _program()
    assert program is not None, "unbound is not installed"
    with _unanswered() as silent_port, _refusing() as refusing_port:
        port, tls_port = _free_port(), _free_port()
        ca_pem = _certify(directory)
        places = {"host": HOST, "directory": directory, "port": port, "tls_port": tls_port}
        places |= {"silent_port": silent_port, "refusing_port": refusing_port}
        config = _CONFIG.format(**places)
        (directory / "unbound.conf").write_text(config)
        (directory / "zone").write_text(_ZONE.format(serial=serial) + "".join(_bulk()))
        process = subprocess.Popen([program, "-d", "-c", str(directory / "unbound.conf")])
        try:
            _await(port, process)
            yield Unbound(port=port, tls_port=tls_port, ca_pem=ca_pem)
        finally:
            process.terminate()
            process.wait(10)


def _bulk() -> Iterator[str]:
    for number in range(_LARGE):
        yield f'large TXT "{number:03}{"x" * 197}"\n'
    for number in range(_MANY):
        yield f"many A 10.0.0.{number + 1}\n"


def _certify(directory: Path) -> str:
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(str(directory / "server.key"))
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(directory / "server.pem"), append=number > 0)
    return authority.cert_pem.bytes().decode("ascii")


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "unbound ended at once"
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError("unbound does not listen")


@contextmanager
def _unanswered() -> Iterator[int]:
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]


@contextmanager
def _refusing() -> Iterator[int]:
    """A port of TCP where nobody listens, nor will meanwhile."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _program() -> str | None:
    return shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")

"""Rows of the matrix: nginx, haproxy, stunnel and OpenSSL."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.evidence.matrix_rows import HTTPS_TRUSTING, LIST, TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, find
from tests.support.zoo import EXPECTED
from uptimeo.domain.result import ErrorType

_TRUST_AND_LIST = {"tls": dict(TRUSTING["tls"]) | {"crl_pem": LIST}}
_ANIMALS = tuple(name for name in EXPECTED if name not in ("not revoked", "outdated list"))


def _port_name(animal: str) -> str:
    return animal.replace(" ", "_").replace("-", "_")


@contextmanager
def _nginx(program: str, place: Place) -> Iterator[None]:
    folders = "".join(
        f"{kind}_temp_path {place.folder(kind)};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    place.write("hello.txt", "hello\n")
    config = place.write(
        "nginx.conf",
        f"daemon off; worker_processes 1; pid {place.directory}/nginx.pid;"
        f"error_log stderr; events {{}} http {{ access_log off; {folders}"
        f"server {{ listen {HOST}:{place.port('http')}; root {place.directory};"
        f" location /gone {{ return 503; }} location /closed {{ return 444; }} }}"
        f"server {{ listen {HOST}:{place.port('https')} ssl; root {place.directory};"
        f" ssl_certificate {place.chain()}; ssl_certificate_key {place.key()}; }}"
        f"server {{ listen {HOST}:{place.port('expired')} ssl; root {place.directory};"
        f" ssl_certificate {place.chain('expired')};"
        f" ssl_certificate_key {place.key('expired')}; }} }}",
    )
    with place.running([program, "-c", str(config)], "http", "https", "expired"):
        yield


_NGINX = (
    Expected(says="a page", url="http://localhost:{http}/hello.txt"),
    Expected(
        says="an error page",
        url="http://localhost:{http}/gone",
        error=ErrorType.HTTP_STATUS,
    ),
    Expected(
        says="closed without an answer (444)",
        url="http://localhost:{http}/closed",
        error=ErrorType.EMPTY_RESPONSE,
    ),
    Expected(
        says="a page over TLS", url="https://localhost:{https}/hello.txt", options=HTTPS_TRUSTING
    ),
    Expected(
        says="a private authority that is not trusted",
        url="https://localhost:{https}/hello.txt",
        error=ErrorType.TLS_UNTRUSTED,
    ),
    Expected(
        says="an expired certificate",
        url="https://localhost:{expired}/hello.txt",
        options=HTTPS_TRUSTING,
        error=ErrorType.TLS_EXPIRED,
    ),
    Expected(says="its certificate", url="tls://localhost:{https}", options=TRUSTING),
    Expected(
        says="its certificate, soon to expire",
        url="tls://localhost:{https}",
        options={**TRUSTING, "min_days": 90},
        error=ErrorType.ASSERTION,
    ),
    Expected(
        says="HTTP by send and expect",
        url="tcp://localhost:{http}",
        options={
            "steps": [
                {"send": "GET /hello.txt HTTP/1.0\r\n\r\n"},
                {"expect": "HTTP/1.1 200 OK\r\n"},
                {"expect_regex": "\r\n\r\nhello\n$"},
            ]
        },
    ),
    Expected(
        says="TLS where none is spoken",
        url="tls://localhost:{http}",
        error=ErrorType.TLS,
    ),
)


@contextmanager
def _haproxy(program: str, place: Place) -> Iterator[None]:
    both = place.both()
    demanding = f"verify required ca-file {both}"
    place.port("nobody")
    config = place.write(
        "haproxy.cfg",
        f"""
global
    log stdout format raw local0
defaults
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    retries 0
frontend plain
    mode http
    bind {HOST}:{place.port("http")}
    http-request return status 200 content-type text/plain string "ok" if {{ path /ok }}
    default_backend nobody
frontend secure
    mode http
    bind {HOST}:{place.port("https")} ssl crt {both} alpn h2,http/1.1
    http-request return status 200 content-type text/plain string "ok"
frontend old
    mode http
    bind {HOST}:{place.port("old")} ssl crt {both} ssl-max-ver TLSv1.2
    http-request return status 200
frontend clients
    mode http
    bind {HOST}:{place.port("clients")} ssl crt {both} {demanding}
    http-request return status 200
frontend stream
    mode tcp
    bind {HOST}:{place.port("tcp")}
    default_backend nothing
backend nobody
    mode http
    server none {HOST}:{place.port("nobody")}
backend nothing
    mode tcp
    server none {HOST}:{place.port("nobody")}
""",
    )
    names = ("http", "https", "old", "clients", "tcp")
    with place.running([program, "-db", "-f", str(config)], *names):
        yield


_HAPROXY = (
    Expected(says="a page", url="http://localhost:{http}/ok"),
    Expected(
        says="no server behind it (503)",
        url="http://localhost:{http}/other",
        error=ErrorType.HTTP_STATUS,
    ),
    Expected(says="a page over TLS", url="https://localhost:{https}/ok", options=HTTPS_TRUSTING),
    Expected(
        says="its certificate, by TLS 1.3",
        url="tls://localhost:{https}",
        options={**TRUSTING, "protocols": ["TLSv1.3"], "names": ["localhost"]},
    ),
    Expected(
        says="TLS 1.3 at least, of which it has none",
        url="tls://localhost:{old}",
        options={"tls": dict(TRUSTING["tls"]) | {"min_version": "1.3"}},
        error=ErrorType.TLS_VERSION,
    ),
    Expected(
        says="a certificate that we should have shown, by TLS 1.3",
        url="tcp://localhost:{clients}",
        options={**TRUSTING, "steps": [{"expect": "anything"}]},
        error=ErrorType.TLS_CLIENT_CERTIFICATE,
    ),
    Expected(says="a TCP frontend accepts", url="tcp://localhost:{tcp}"),
    Expected(
        says="and says nothing: nobody is behind it",
        url="tcp://localhost:{tcp}",
        options={"steps": [{"expect": "220 "}]},
        error=ErrorType.EMPTY_RESPONSE,
    ),
    Expected(
        says="nobody listens",
        url="tcp://127.0.0.1:{nobody}",
        error=ErrorType.CONNECT_REFUSED,
    ),
)


@contextmanager
def _stunnel(program: str, place: Place) -> Iterator[None]:
    config = place.write(
        "stunnel.conf",
        f"""
foreground = yes
pid =
[https]
accept = {HOST}:{place.port("tls")}
connect = {HOST}:{place.port("nobody")}
cert = {place.both()}
""",
    )
    with place.running([program, str(config)], "tls"):
        yield


_STUNNEL = (
    Expected(says="its certificate", url="tls://localhost:{tls}", options=TRUSTING),
    Expected(
        says="its certificate, of another issuer than expected",
        url="tls://localhost:{tls}",
        options={**TRUSTING, "issuer": "Let.s Encrypt"},
        error=ErrorType.ASSERTION,
    ),
)


@contextmanager
def _openssl(program: str, place: Place) -> Iterator[None]:
    """One `s_server` for each animal, and one that speaks old TLS only."""
    common = ["-quiet", "-cipher", "DEFAULT@SECLEVEL=0"]
    with ExitStack() as stack:
        for animal in _ANIMALS:
            name = _port_name(animal)
            port = str(place.port(name))
            files = ["-cert_chain", str(place.chain(animal)), "-cert", str(place.chain(animal))]
            key = ["-key", str(place.key(animal))]
            command = [program, "s_server", "-accept", f"{HOST}:{port}", *files, *key, *common]
            stack.enter_context(place.running(command, name))
        yield


def _of_animal(animal: str, scheme: str) -> Expected:
    return Expected(
        says=f"{animal}, by {scheme}",
        url=f"{scheme}://localhost:{{{_port_name(animal)}}}",
        options=_TRUST_AND_LIST if animal == "revoked" else TRUSTING,
        error=EXPECTED[animal],
    )


_OPENSSL = tuple(_of_animal(animal, "tls") for animal in _ANIMALS)

PROGRAMS = (
    Program(
        name="nginx",
        package="nginx-light",
        find=partial(find, "nginx"),
        start=_nginx,
        checks=_NGINX,
    ),
    Program(
        name="haproxy",
        package="haproxy",
        find=partial(find, "haproxy"),
        start=_haproxy,
        checks=_HAPROXY,
    ),
    Program(
        name="stunnel",
        package="stunnel4",
        find=partial(find, "stunnel4"),
        start=_stunnel,
        checks=_STUNNEL,
    ),
    Program(
        name="openssl s_server",
        package="openssl",
        find=partial(find, "openssl"),
        start=_openssl,
        checks=_OPENSSL,
    ),
)

"""Rows of the matrix: Dovecot for IMAP and POP3, Exim for SMTP."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.evidence.matrix_rows import TRUSTING, Expected, Program
from tests.support.programs import HOST, Place, find, me
from uptimeo.domain.result import ErrorType


@contextmanager
def _dovecot(program: str, place: Place) -> Iterator[None]:
    """As root it becomes the users of its package; otherwise it stays who we are."""
    users = ("dovecot", "dovenull") if os.geteuid() == 0 else (me(), me())
    listeners = "".join(
        f"""
service {kind}-login {{
  chroot =
  inet_listener {kind} {{
    address = {HOST}
    port = {place.port(kind)}
  }}
  inet_listener {kind}s {{
    address = {HOST}
    port = {place.port(kind + "s")}
    ssl = yes
  }}
}}"""
        for kind in ("imap", "pop3")
    )
    config = place.write(
        "dovecot.conf",
        f"""
protocols = imap pop3
base_dir = {place.directory}/run
state_dir = {place.directory}/state
log_path = /dev/stderr
default_internal_user = {users[0]}
default_login_user = {users[1]}
ssl = yes
ssl_cert = <{place.chain()}
ssl_key = <{place.key()}
disable_plaintext_auth = yes
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={os.geteuid()} gid={os.getegid()} home={place.directory}
}}
{listeners}
""",
    )
    names = ("imap", "imaps", "pop3", "pop3s")
    with place.running([program, "-F", "-c", str(config)], *names):
        yield


def _mail(kind: str, capability: str, inside: str) -> tuple[Expected, ...]:
    """The same rows for IMAP and POP3: in the clear, STARTTLS, TLS from the start."""
    plain, secure = f"{kind}://localhost:{{{kind}}}", f"{kind}://localhost:{{{kind}s}}"
    return (
        Expected(
            says=f"{kind}: greeting and capabilities",
            url=plain,
            options={"banner": "Dovecot", "capabilities": [capability]},
        ),
        Expected(
            says=f"{kind}: STARTTLS, and what it offers inside",
            url=plain,
            options={**TRUSTING, "security": "starttls", "capabilities": [inside]},
        ),
        Expected(
            says=f"{kind}: no password in the clear",
            url=plain,
            # From another address than the server's own, which Dovecot takes for safe.
            options={
                "absent_capabilities": [inside],
                "source": "127.0.0.2",
                "family": "v4",
            },
        ),
        Expected(
            says=f"{kind}: TLS from the start",
            url=secure,
            options={**TRUSTING, "security": "tls"},
        ),
        Expected(
            says=f"{kind}: STARTTLS with a certificate that is not trusted",
            url=plain,
            options={"security": "starttls"},
            error=ErrorType.TLS_UNTRUSTED,
        ),
        Expected(
            says=f"{kind}: TLS expected where the greeting comes in the clear",
            url=plain,
            options={"security": "tls"},
            error=ErrorType.TLS,
        ),
        Expected(
            says=f"{kind}: a capability that it lacks",
            url=plain,
            options={"capabilities": ["XNEVER"]},
            error=ErrorType.ASSERTION,
        ),
        Expected(
            says=f"{kind}: its certificate by STARTTLS",
            url=f"tls://localhost:{{{kind}}}",
            options={**TRUSTING, "starttls": kind, "min_days": 30},
        ),
    )


_OTHER_PROTOCOL = Expected(
    says="smtp asked of an IMAP server",
    url="smtp://localhost:{imap}",
    error=ErrorType.UNEXPECTED,
)
_DOVECOT = (
    *_mail("imap", "STARTTLS", "AUTH=PLAIN"),
    *_mail("pop3", "STLS", "SASL PLAIN"),
    _OTHER_PROTOCOL,
)


@contextmanager
def _exim(program: str, place: Place) -> Iterator[None]:
    spool = place.folder("spool")
    config = place.write(
        "exim.conf",
        f"""
exim_user = {me()}
exim_group = {os.getegid()}
spool_directory = {spool}
log_file_path = {spool}/%slog
pid_file_path = {spool}/exim.pid
primary_hostname = mail.test
local_interfaces = {HOST}
daemon_smtp_ports = {place.port("smtp")} : {place.port("smtps")}
tls_on_connect_ports = {place.port("smtps")}
tls_advertise_hosts = *
tls_certificate = {place.chain()}
tls_privatekey = {place.key()}
never_users =
acl_smtp_rcpt = deny
acl_smtp_helo = helo
begin acl
helo:
  drop condition = ${{if eq{{$sender_helo_name}}{{refused.test}}}}
  accept
""",
    )
    config.chmod(0o644)
    command = [program, "-C", str(config), "-bdf", "-oX"]
    command.append(f"<; {HOST}.{place.port('smtp')} ; {HOST}.{place.port('smtps')}")
    with place.running(command, "smtp", "smtps"):
        yield


_EXIM = (
    Expected(
        says="greeting and capabilities",
        url="smtp://localhost:{smtp}",
        options={"banner": r"^220 mail\.test", "capabilities": ["STARTTLS", "SIZE"]},
    ),
    Expected(
        says="STARTTLS, which is not offered twice",
        url="smtp://localhost:{smtp}",
        options={**TRUSTING, "security": "starttls", "absent_capabilities": ["STARTTLS"]},
    ),
    Expected(
        says="TLS from the start",
        url="smtp://localhost:{smtps}",
        options={**TRUSTING, "security": "tls", "capabilities": ["PIPELINING"]},
    ),
    Expected(
        says="our name is refused",
        url="smtp://localhost:{smtp}",
        options={"ehlo_name": "refused.test"},
        error=ErrorType.UNEXPECTED,
    ),
    Expected(
        says="a certificate that is not trusted",
        url="smtp://localhost:{smtp}",
        options={"security": "starttls"},
        error=ErrorType.TLS_UNTRUSTED,
    ),
    Expected(
        says="its certificate by STARTTLS",
        url="tls://localhost:{smtp}",
        options={**TRUSTING, "starttls": "smtp", "min_days": 30},
    ),
    Expected(
        says="a dialogue by send and expect",
        url="tcp://localhost:{smtp}",
        options={
            "steps": [
                {"expect_regex": "^220 .*\r\n"},
                {"send": "NOOP\r\n"},
                {"expect": "250 "},
                {"expect_regex": "\r\n"},
                {"send": "QUIT\r\n"},
                {"expect": "221 "},
            ]
        },
    ),
)

PROGRAMS = (
    Program(
        name="dovecot",
        package="dovecot-imapd dovecot-pop3d",
        find=partial(find, "dovecot"),
        start=_dovecot,
        checks=_DOVECOT,
    ),
    Program(
        name="exim",
        package="exim4-daemon-light",
        find=partial(find, "exim4"),
        start=_exim,
        checks=_EXIM,
    ),
)

"""What does each error class mean? In groups, as a reader meets them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from uptimeo.domain.result import ErrorType as E


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Error classes of one stage, and what they say."""

    title: str
    meanings: Mapping[E, str]

    @property
    def anchor(self) -> str:
        """Where a link leads."""
        return self.title.lower().replace(" ", "-")


NAMES = Group(
    title="Errors of lookups",
    meanings={
        E.DNS: "the name has no address, or the resolver refuses to tell",
        E.DNS_TIMEOUT: "the resolver did not answer in time",
    },
)
CONNECTION = Group(
    title="Errors of connections",
    meanings={
        E.CONNECT_REFUSED: "nobody listens on that port",
        E.CONNECT_UNREACHABLE: "there is no route to the host or its network",
        E.CONNECT_TIMEOUT: "no connection within the timeout",
        E.CONNECT: "no connection for another reason, which the message tells",
        E.ADDRESS_FORBIDDEN: "the operator forbids that address (`UPTIMEO_FORBIDDEN_NETWORKS`)",
        E.CONNECTION_RESET: "the other side broke the connection off",
        E.SEND_TIMEOUT: "the request could not be sent within the timeout",
        E.FIRST_BYTE_TIMEOUT: "connected, and no answer within the timeout",
        E.EMPTY_RESPONSE: "the connection was closed without an answer",
        E.BODY_TOO_LARGE: "more came than a check reads",
        E.PROTOCOL: "what came is not what the protocol allows",
    },
)
TLS = Group(
    title="Errors of TLS",
    meanings={
        E.TLS_TIMEOUT: "the handshake was not finished within the timeout",
        E.TLS_EXPIRED: "a certificate of the chain has expired",
        E.TLS_NOT_YET_VALID: "a certificate of the chain is not valid yet",
        E.TLS_HOSTNAME: "the certificate is for other names",
        E.TLS_UNTRUSTED: "the chain leads to no authority that is trusted, or is incomplete",
        E.TLS_SELF_SIGNED: "the certificate is signed by itself, and not trusted",
        E.TLS_PURPOSE: "the certificate is not meant for servers",
        E.TLS_REVOKED: "the certificate is on a revocation list (`tls.crl_pem`)",
        E.TLS_WEAK: "a key or a digest is too weak",
        E.TLS_CLIENT_CERTIFICATE: "the server refuses our certificate, or the lack of one",
        E.TLS_VERSION: "no version of TLS that both sides accept",
        E.TLS: "the handshake failed for another reason, which the message tells",
    },
)
ANSWER = Group(
    title="Errors of answers",
    meanings={
        E.ASSERTION: "an assertion does not hold: the message has what was expected and what came",
        E.AUTHENTICATION: "the server does not accept our credentials, or asks for some",
        E.DECOMPRESSION: "the body grows beyond `max_body_bytes` when it is decompressed",
        E.DNS_RCODE: "the DNS server answers with another code than expected, such as NXDOMAIN",
        E.EXIT_STATUS: "a command, or a job, ended with a status that is not 0",
        E.HEADERS_TOO_LARGE: "more headers than 64 KiB or 300 lines",
        E.HTTP_STATUS: "another status than expected",
        E.HTTP_VERSION: "another version of HTTP than `http_version`",
        E.NOT_SERVING: "the health service says that the service does not serve",
        E.NO_REPLY: "no reply to a datagram within the timeout",
        E.PACKET_LOSS: "more pings lost than `max_loss_percent`",
        E.PACKET_TOO_BIG: "a path too narrow for `size` with `dont_fragment`",
        E.PROXY: "the proxy cannot be reached, or refuses",
        E.PUSH_FAILED: "the job signalled that it failed",
        E.PUSH_MISSING: "the job did not signal in time",
        E.QUERY: "the server answers the query with an error",
        E.REDIRECT_REFUSED: "a redirect to where a check does not go",
        E.SEND: "the request could not be sent",
        E.STARTTLS: "the server does not begin TLS when it is asked to",
        E.TIMEOUT: "the time was over, in no phase that can be named",
        E.TOKEN: "no OAuth2 token was given out",
        E.TOO_MANY_REDIRECTS: "more redirects than `max_redirects`",
        E.TRANSFER_TIMEOUT: "the answer began, and did not end within the timeout",
        E.TTL_EXCEEDED: "a router reports that `ttl` was used up",
        E.UNEXPECTED: "an answer, but not the one that was expected",
    },
)
AGENT = Group(
    title="Errors of the agent",
    meanings={
        E.INTERNAL: "a bug of ours: the agent's log has the details",
        E.RESOURCES: "the agent's host has no sockets, memory or threads left",
        E.PERMISSION: "the agent's host does not allow it: the message names the setting",
        E.UNSUPPORTED: "the agent was built without what the check needs",
        E.MISCONFIGURED: "the row, or the agent's host, asks for something that cannot be",
        E.UNHEARD: "signals of a job may have been lost, or cannot be read",
        E.EXIT_UNKNOWN: "the plugin says itself that it does not know (exit status 3)",
        E.STUCK: "the probe did not end within its timeout",
        E.STALLED: "a timeout while the agent itself stood still",
        E.STOPPED: "the agent stopped before the check was over",
        E.ISOLATED: "no reference target answers either (`UPTIMEO_REFERENCE_TARGETS`)",
        E.SKIPPED_OVERRUN: "not checked: the check of the slot before was still running",
        E.SKIPPED_OVERLOAD: "not checked: `UPTIMEO_MAX_CHECKS` were running",
        E.SKIPPED_HOST: "not checked: `UPTIMEO_MAX_CHECKS_PER_HOST` were at that host",
        E.SKIPPED_STALL: "not checked: the agent was paused",
        E.SKIPPED_LEASE: "not checked: nobody was allowed to at that time",
    },
)
GROUPS = {
    "names": NAMES,
    "connection": CONNECTION,
    "tls": TLS,
    "answer": ANSWER,
    "agent": AGENT,
}


def members(words: Iterable[str]) -> frozenset[E]:
    """The classes that a list of groups and single classes names."""
    found: set[E] = set()
    for word in words:
        found |= GROUPS[word].meanings.keys() if word in GROUPS else {E(word)}
    return frozenset(found)

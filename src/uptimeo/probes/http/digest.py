"""How is a digest challenge answered (RFC 7616)? Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PARAMETER = re.compile(r'([a-zA-Z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?i)(?:^|,\s*)digest\s+")
_HASHES = {"md5": "md5", "sha-256": "sha256", "sha-512-256": "sha512_256"}
_STRONGEST = ("sha-512-256", "sha-256", "md5")
_MAX_CHALLENGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a server wants to be answered; `algorithm` is in small letters, without `-sess`."""

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    session: bool
    qop: str | None


def strongest(headers: Iterable[str]) -> Challenge | None:
    """The challenge with the best algorithm that we know, from `WWW-Authenticate` headers."""
    known = []
    for header in headers:
        for text in _SCHEME.split(header[:_MAX_CHALLENGE])[1:]:
            challenge = _challenge(
                {k.lower(): _value(q, t) for k, q, t in _PARAMETER.findall(text)}
            )
            if challenge is not None:
                known.append(challenge)
    return min(known, key=lambda each: _STRONGEST.index(each.algorithm), default=None)


def answer(
    challenge: Challenge, *, method: str, target: str, user: str, password: str, cnonce: str
) -> str:
    """The value of `Authorization` for a request of that method and target (path and query)."""
    secret = _hash(challenge, f"{user}:{challenge.realm}:{password}")
    if challenge.session:
        secret = _hash(challenge, f"{secret}:{challenge.nonce}:{cnonce}")
    asked = _hash(challenge, f"{method}:{target}")
    count = "00000001"
    middle = f"{count}:{cnonce}:{challenge.qop}:" if challenge.qop else ""
    parts = {
        "username": _quoted(user),
        "realm": _quoted(challenge.realm),
        "nonce": _quoted(challenge.nonce),
        "uri": _quoted(target),
        "response": _quoted(_hash(challenge, f"{secret}:{challenge.nonce}:{middle}{asked}")),
        "algorithm": challenge.algorithm.upper() + ("-sess" if challenge.session else ""),
    }
    if challenge.qop or challenge.session:
        parts |= {"cnonce": _quoted(cnonce)}
    if challenge.qop:
        parts |= {"qop": challenge.qop, "nc": count}
    if challenge.opaque is not None:
        parts["opaque"] = _quoted(challenge.opaque)
    return "Digest " + ", ".join(f"{name}={value}" for name, value in parts.items())


def _challenge(found: Mapping[str, str]) -> Challenge | None:
    algorithm = found.get("algorithm", "MD5").lower()
    offered = [word.strip().lower() for word in found.get("qop", "").split(",") if word.strip()]
    known = algorithm.removesuffix("-sess") in _HASHES
    if not known or "nonce" not in found or (offered and "auth" not in offered):
        return None
    return Challenge(
        realm=found.get("realm", ""),
        nonce=found["nonce"],
        opaque=found.get("opaque"),
        algorithm=algorithm.removesuffix("-sess"),
        session=algorithm.endswith("-sess"),
        qop="auth" if offered else None,
    )


def _value(quoted: str, token: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted) or token


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _hash(challenge: Challenge, text: str) -> str:
    made = hashlib.new(_HASHES[challenge.algorithm], text.encode(), usedforsecurity=False)
    return made.hexdigest()

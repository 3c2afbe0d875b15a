"""How is a secret sealed for the database, and opened again? AES-256-GCM, keys from a file.

The file has a line for each key, its id and 32 bytes in base64; the last one seals, each one opens.
Name and datacenter are sealed with the value: a row cannot pass for another one.
"""

import binascii
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from uptimeo.domain.errors import FatalError, SealError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.secret import SealedSecret
from uptimeo.files import replace_file

SETTING = "UPTIMEO_KEY_FILE"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_LARGEST = 65_536
_LINE = re.compile(r"([A-Za-z0-9._-]{1,50})\s+([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of a file by id; the newest one is the last."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "KeyRing":
        """The keys in a file; FatalError if it cannot be used, or others may read it."""
        keys: dict[str, bytes] = {}
        for number, line in enumerate(_private_text(path).splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            key = _decoded(found[2]) if found else b""
            if found is None or len(key) != _KEY_BYTES or found[1] in keys:
                raise FatalError(
                    f"{SETTING}: line {number} of {path} is not a new id and a key of 32 bytes in"
                    " base64: `uptimeo secret keygen` adds such a line"
                )
            keys[found[1]] = key
        if not keys:
            raise FatalError(f"{SETTING}: {path} has no key: `uptimeo secret keygen` adds one")
        return cls(keys)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return list(self.keys)[-1]

    def seal(self, name: str, datacenter: DatacenterId | None, value: str) -> SealedSecret:
        """The row for a value, sealed with the newest key."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self.keys[self.newest])
        return SealedSecret(
            name=name,
            datacenter_id=datacenter,
            key_id=self.newest,
            nonce=nonce,
            ciphertext=cipher.encrypt(nonce, value.encode(), _belongs(name, datacenter)),
        )

    def open(self, sealed: SealedSecret) -> str:
        """The value; SealError if its key is not here or it is not what was sealed."""
        if (key := self.keys.get(sealed.key_id)) is None:
            raise SealError(f"is sealed with the key {sealed.key_id!r}, which {SETTING} lacks")
        about = _belongs(sealed.name, sealed.datacenter_id)
        try:
            return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, about).decode()
        except (InvalidTag, ValueError) as error:
            raise SealError("cannot be opened: its row was changed, or the key is wrong") from error


def add_key(path: Path, now: datetime) -> str:
    """Add a new key to the file, which is made if there is none; answers with the key's id.

    Raises FatalError if the file cannot be read or written.
    """
    try:
        before = _private_text(path) if path.exists() else ""
        key_id = f"{now:%Y%m%d}-{os.urandom(3).hex()}"
        line = f"{key_id} {b64encode(os.urandom(_KEY_BYTES)).decode()}\n"
        gap = "" if before.endswith("\n") or not before else "\n"
        replace_file(path, f"{before}{gap}{line}")
    except OSError as error:
        raise FatalError(f"{SETTING}: {path} cannot be written: {error.strerror}") from error
    return key_id


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LARGEST)
    except OSError as error:
        raise FatalError(f"{SETTING}: {path} cannot be read: {error.strerror}") from error
    if not is_private(status, reader=os.geteuid(), group=os.getegid()):
        raise FatalError(
            f"{SETTING}: {path} may be used by others (mode {status.st_mode & 0o777:04o}, user"
            f" {status.st_uid}, group {status.st_gid}): give it to the agent's user, and chmod 600"
        )
    return content.decode("utf-8", "replace")


def is_private(status: os.stat_result, *, reader: int, group: int) -> bool:
    """Whether nobody but that user, who reads it, and root may use a file.

    systemd and Kubernetes hand a secret to a user as a file of root's that this user's own group,
    or an ACL, which shows in the bits of root's group, lets it read: so that group may.
    """
    if status.st_uid not in (0, reader):
        return False
    handed_over = status.st_uid == 0 and reader != 0 and status.st_gid in (0, group)
    return not status.st_mode & (0o037 if handed_over else 0o077)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _belongs(name: str, datacenter: DatacenterId | None) -> bytes:
    where = "*" if datacenter is None else str(datacenter)
    return f"uptimeo secret\0{where}\0{name}".encode()

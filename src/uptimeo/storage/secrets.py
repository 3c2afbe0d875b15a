"""The table `secrets`: values that config rows refer to, sealed by who wrote them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from uptimeo.domain.errors import FatalError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.secret import SealedSecret
from uptimeo.storage.database import Connection, one, our_errors

_COLUMNS = "SELECT name, datacenter_id, key_id, nonce, ciphertext FROM secrets"
_NAMED = f"""{_COLUMNS}
WHERE name = ANY(%(names)s) AND (datacenter_id IS NULL OR datacenter_id = %(datacenter)s)
ORDER BY name, datacenter_id NULLS FIRST
"""
_LOCKED = f"{_COLUMNS} ORDER BY name, datacenter_id FOR UPDATE"
_PUT = """
INSERT INTO secrets (name, datacenter_id, key_id, nonce, ciphertext) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (name, datacenter_id) DO UPDATE
SET key_id = excluded.key_id, nonce = excluded.nonce, ciphertext = excluded.ciphertext,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by
"""
_REMOVE = """
DELETE FROM secrets WHERE name = %s AND datacenter_id IS NOT DISTINCT FROM %s RETURNING 1
"""
_LISTED = """
SELECT s.name, d.code AS datacenter, s.key_id, s.updated_at, s.updated_by
FROM secrets s LEFT JOIN datacenters d ON d.id = s.datacenter_id ORDER BY s.name, d.id NULLS FIRST
"""
_DATACENTER = "SELECT id FROM datacenters WHERE code = %s"
_CODES = "SELECT string_agg(code, ', ' ORDER BY id) FROM datacenters"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretLine:
    """What may be told of a secret; `datacenter` None means all of them."""

    name: str
    datacenter: str | None
    key_id: str
    updated_at: datetime
    updated_by: str


async def sealed_secrets(
    connection: Connection, names: Collection[str], datacenter: DatacenterId | None
) -> list[SealedSecret]:
    """The rows of these names for the datacenter and for all of them; raises errors of psycopg."""
    cursor = connection.cursor(row_factory=class_row(SealedSecret))
    query, given = sealed_for(names, datacenter)
    await cursor.execute(query.encode(), given)
    return await cursor.fetchall()


def sealed_for(
    names: Collection[str], datacenter: DatacenterId | int | None
) -> tuple[str, dict[str, Any]]:
    """The query for these rows, for who asks in another way, and its parameters."""
    return _NAMED, {"names": list(names), "datacenter": datacenter}


async def put_secret(connection: Connection, sealed: SealedSecret) -> None:
    """Save a secret in place of the one of that name and datacenter."""
    with our_errors():
        await connection.execute(_PUT, _values(sealed))


async def remove_secret(connection: Connection, name: str, datacenter: DatacenterId | None) -> bool:
    """Delete a secret; whether there was one."""
    with our_errors():
        return bool(await one(connection, _REMOVE, (name, datacenter)))


async def reseal(
    connection: Connection, again: Callable[[SealedSecret], SealedSecret | None]
) -> int:
    """Put each secret for which there is another one in its place; answers with how many.

    All or none: what `again` raises leaves everything as it was.
    """
    with our_errors():
        async with connection.transaction():
            cursor = connection.cursor(row_factory=class_row(SealedSecret))
            rows = await (await cursor.execute(_LOCKED.encode())).fetchall()
            fresh = [new for new in map(again, rows) if new is not None]
            for each in fresh:
                await connection.execute(_PUT, _values(each))
            return len(fresh)


async def secret_lines(connection: Connection) -> list[SecretLine]:
    """Every secret by name, never a value."""
    with our_errors():
        cursor = connection.cursor(row_factory=class_row(SecretLine))
        await cursor.execute(_LISTED)
        return await cursor.fetchall()


async def datacenter_id(connection: Connection, code: str | None) -> DatacenterId | None:
    """The id of a datacenter's code, None for None; FatalError names the known ones."""
    if code is None:
        return None
    with our_errors():
        found = await one(connection, _DATACENTER, (code,))
        if found is None:
            known = await one(connection, _CODES)
            raise FatalError(f"there is no datacenter {code!r}; there are: {known}")
        return DatacenterId(int(found))


def _values(sealed: SealedSecret) -> tuple[object, ...]:
    return sealed.name, sealed.datacenter_id, sealed.key_id, sealed.nonce, sealed.ciphertext

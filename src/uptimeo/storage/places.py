"""Regions, datacenters and agents: where checks run from."""

from dataclasses import dataclass

from uptimeo.domain.errors import FatalError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.storage.database import Connection, one

_CODE = "SELECT code FROM datacenters WHERE id = %s"
_KNOWN = "SELECT string_agg(id || ' ' || code, ', ' ORDER BY id) FROM datacenters"
_REGISTER = "SELECT agent_register(%s, %s)"
_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM datacenters) AND NOT EXISTS (SELECT FROM regions)"
_ADD_REGION = "INSERT INTO regions (name, region_code, group_name) VALUES (%s, %s, %s) RETURNING id"
_ADD_DATACENTER = "INSERT INTO datacenters (code, name, region_id) VALUES (%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class _Region:
    name: str
    code: str
    group: str
    datacenters: tuple[tuple[str, str], ...]


_SAMPLE = (
    _Region(
        "US East",
        "us-east",
        "US",
        (("VA", "Virginia"), ("NY", "New York"), ("RDN", "Richardson"), ("CHI", "Chicago")),
    ),
    _Region("US West", "us-west", "US", (("SF", "San Francisco"),)),
    _Region("Europe West", "eu-west", "Europe", (("LON", "London"), ("DAM", "Amsterdam"))),
    _Region("Europe North", "eu-north", "Europe", (("STO", "Stockholm"),)),
    _Region("Oceania", "oceania", "Oceania", (("SYD", "Sydney"),)),
)


async def datacenter_code(connection: Connection, datacenter: DatacenterId) -> str:
    """The short code of a datacenter; FatalError naming the known ones if there is no such id."""
    code = await one(connection, _CODE, (datacenter,))
    if code is None:
        known = await one(connection, _KNOWN) or "none (`uptimeo migrate --sample-data` adds nine)"
        raise FatalError(f"DATACENTER_ID: there is no datacenter {datacenter}; known are: {known}")
    return str(code)


async def register_agent(connection: Connection, name: str, datacenter: DatacenterId) -> int:
    """The id of this agent's row, which is made at its first start."""
    return int(await one(connection, _REGISTER, (datacenter, name)))


async def add_sample_datacenters(connection: Connection) -> bool:
    """Fill in the nine datacenters, with ids 1 to 9, if there is not one; whether it did."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE regions, datacenters IN SHARE ROW EXCLUSIVE MODE")
        if not await one(connection, _IS_EMPTY):
            return False
        for region in _SAMPLE:
            key = await one(connection, _ADD_REGION, (region.name, region.code, region.group))
            for code, name in region.datacenters:
                await connection.execute(_ADD_DATACENTER, (code, name, key))
    return True

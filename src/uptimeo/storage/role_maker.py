"""May whoever is connected make the roles and give them their rights? If not, what is missing?

A superuser may. Others need CREATEROLE and, since PostgreSQL 16, the ADMIN option on each role that
is there already: who makes a role has it. PostgreSQL only warns of a right that it did not give.
"""

from collections.abc import Sequence

from psycopg import sql

from uptimeo.domain.errors import FatalError
from uptimeo.storage.database import Connection, one

_MAKES_ROLES = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
_OWNS_TABLES = """
SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class
WHERE oid = to_regclass('api_monitors')
"""
_LETS_CONNECT = """
SELECT has_database_privilege('public', current_database(), 'CONNECT')
    OR has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')
"""
_LETS_USE = """
SELECT has_schema_privilege('public', current_schema(), 'USAGE')
    OR has_schema_privilege(current_schema(), 'USAGE WITH GRANT OPTION')
"""
_KEEPS_SHUT = """
SELECT NOT has_schema_privilege('public', oid, 'CREATE')
    OR pg_has_role(current_user, nspowner, 'USAGE')
FROM pg_namespace WHERE nspname = current_schema()
"""
# What is said where it is not so; the first that is not.
_DEMANDS = {
    _MAKES_ROLES: sql.SQL(
        "{me} may not make roles: run this as a superuser, or as the owner of the tables with"
        " CREATEROLE"
    ),
    _OWNS_TABLES: sql.SQL(
        "{me} does not own the tables of UptimeO, and may give no rights on them: run this as their"
        " owner or as a superuser"
    ),
    _LETS_CONNECT: sql.SQL(
        "{me} may let nobody connect to the database: its owner or a superuser may run"
        " GRANT CONNECT ON DATABASE {database} TO {me} WITH GRANT OPTION"
    ),
    _LETS_USE: sql.SQL(
        "{me} may let nobody use the schema: its owner or a superuser may run"
        " GRANT USAGE ON SCHEMA {schema} TO {me} WITH GRANT OPTION"
    ),
    _KEEPS_SHUT: sql.SQL(
        "everybody may make functions in the schema, and {me} may not forbid it: its owner or a"
        " superuser may run REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC"
    ),
}
_OF_OTHERS = """
SELECT rolname FROM pg_roles
WHERE rolname = ANY (%s) AND NOT pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION')
ORDER BY rolname
"""
_MADE_BY_OTHERS = sql.SQL(
    "{me} may not change roles that somebody else made: a superuser may run this, or"
    " GRANT {roles} TO {me} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
)


async def refuse_unfit(connection: Connection, database: str, schema: str) -> None:
    """Raises FatalError that names the right that is missing, and who may give it."""
    names = {"me": connection.info.user, "database": database, "schema": schema}
    for demand, refusal in _DEMANDS.items():
        if not await one(connection, demand):
            told = refusal.format(**{key: sql.Identifier(name) for key, name in names.items()})
            raise FatalError(told.as_string(connection))


async def refuse_those_of_others(connection: Connection, roles: Sequence[str]) -> None:
    """Raises FatalError if some of these roles exist, and may not be changed."""
    found = await (await connection.execute(_OF_OTHERS, (list(roles),))).fetchall()
    if found:
        told = _MADE_BY_OTHERS.format(
            me=sql.Identifier(connection.info.user),
            roles=sql.SQL(", ").join(sql.Identifier(name) for (name,) in found),
        )
        raise FatalError(told.as_string(connection))

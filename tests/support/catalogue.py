"""What a database's schema is made of, as text that can be compared with another's."""

import psycopg

# Partitions are named after their days, and another schema has other object ids: neither is here.
_PARTS = {
    "columns": """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
       a.attgenerated, a.attstorage, a.attcompression, pg_get_expr(d.adbin, d.adrelid),
       col_description(c.oid, a.attnum)
FROM t c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v')""",
    "tables": """
SELECT c.relname, c.relkind, c.reloptions, obj_description(c.oid, 'pg_class'), c.relacl::text,
       pg_get_partkeydef(c.oid), CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
FROM t c""",
    "constraints": """
SELECT c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated
FROM t c JOIN pg_constraint k ON k.conrelid = c.oid""",
    "indexes": """
SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
FROM t c JOIN pg_index i ON i.indrelid = c.oid""",
    "triggers": """
SELECT c.relname, pg_get_triggerdef(g.oid), g.tgenabled
FROM t c JOIN pg_trigger g ON g.tgrelid = c.oid WHERE NOT g.tgisinternal""",
    "sequences": """
SELECT c.relname, s.seqtypid::regtype::text, s.seqincrement, s.seqmax,
       (SELECT d.refobjid::regclass::text || d.refobjsubid::text FROM pg_depend d
        WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0) IS NOT NULL
FROM t c JOIN pg_sequence s ON s.seqrelid = c.oid""",
    "functions": """
SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proacl::text,
       obj_description(p.oid, 'pg_proc')
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "partitions": """
SELECT DISTINCT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_class c JOIN pg_inherits i ON i.inhparent = c.oid
JOIN pg_attribute a ON a.attrelid = i.inhrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'p'""",
}
_TABLES = """
WITH t AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace
           AND NOT relispartition AND relkind IN ('r', 'p', 'v', 'm', 'S'))
"""


def catalogue(conninfo: str) -> set[tuple[str, ...]]:
    """One tuple for each column, constraint, index, trigger, sequence, function and view."""
    with psycopg.connect(conninfo) as connection:
        return {
            (part, *(str(value) for value in row))
            for part, query in _PARTS.items()
            for row in connection.execute((_TABLES + query).encode())
        }

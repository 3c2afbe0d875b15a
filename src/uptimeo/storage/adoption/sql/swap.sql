-- The cutover. All of it runs in one transaction that holds the locks of the older tables.

-- The older tables, and whatever is a part of them.
CREATE OR REPLACE FUNCTION uptimeo_older.older_relations(p_schema name) RETURNS SETOF oid
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE parts (oid) AS (
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = p_schema AND c.relname = ANY (ARRAY[
            'regions', 'datacenters', 'agents', 'schedules', 'api_monitors',
            'datacenter_monitors', 'api_heartbeats'])
        UNION
        SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON p.oid = i.inhparent
    ) SELECT oid FROM parts
$$;

-- Views on the older tables and views on those, each before the ones that read it, with what makes
-- them anew.
CREATE OR REPLACE FUNCTION uptimeo_older.views_on(p_schema name)
RETURNS TABLE (oid oid, name text, relkind "char", depth int, statement text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE readers (oid, depth) AS (
        SELECT r.ev_class, 1 FROM pg_depend d
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid
          AND d.refobjid IN (SELECT uptimeo_older.older_relations(p_schema))
        UNION
        SELECT r.ev_class, w.depth + 1 FROM readers w
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = w.oid
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE r.ev_class <> w.oid
    )
    SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind, max(w.depth),
           format('CREATE VIEW %I.%I %s AS %s', n.nspname, c.relname,
                  'WITH (' || array_to_string(c.reloptions, ', ') || ')', pg_get_viewdef(c.oid))
    FROM readers w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname <> 'uptimeo_older'
    GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.reloptions
    ORDER BY max(w.depth), c.relname
$$;

-- Statements that give a relation the rights, owner and comment of another; `p_to` is its name.
CREATE OR REPLACE FUNCTION uptimeo_older.rights_of(p_from oid, p_to text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT format('GRANT %s%s ON %s %s TO %s%s', g.privilege_type, g.columns,
                  CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, p_to,
                  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                  CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class c CROSS JOIN LATERAL (
        SELECT '' AS columns, x.* FROM aclexplode(c.relacl) x
        UNION ALL
        SELECT format(' (%I)', a.attname), x.* FROM pg_attribute a, aclexplode(a.attacl) x
        WHERE a.attrelid = c.oid AND NOT a.attisdropped) g
    WHERE c.oid = p_from AND g.grantee <> c.relowner
$$;

-- Foreign keys that other tables have to the older ones.
CREATE OR REPLACE FUNCTION uptimeo_older.references_to(p_schema name)
RETURNS TABLE (child text, name name, parent oid, statement text) LANGUAGE sql STABLE AS $$
    SELECT k.conrelid::regclass::text, k.conname, k.confrelid,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname,
                  pg_get_constraintdef(k.oid))
    FROM pg_constraint k
    WHERE k.contype = 'f' AND k.conparentid = 0
      AND k.confrelid IN (SELECT uptimeo_older.older_relations(p_schema))
      AND k.conrelid NOT IN (SELECT uptimeo_older.older_relations(p_schema))
$$;

-- The older tables go out of the way, with the sequences that nobody owns but our names need.
CREATE OR REPLACE FUNCTION uptimeo_older.move_out(p_schema name) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT o::regclass AS name FROM uptimeo_older.older_relations(p_schema) o LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA uptimeo_older', r.name);
    END LOOP;
    FOR r IN
        SELECT c.relname FROM pg_class c JOIN pg_class s USING (relname, relkind)
        WHERE c.relkind = 'S' AND c.relnamespace = quote_ident(p_schema)::regnamespace
          AND s.relnamespace = 'uptimeo_staging'::regnamespace
    LOOP
        EXECUTE format('ALTER SEQUENCE %I.%I SET SCHEMA uptimeo_older', p_schema, r.relname);
    END LOOP;
END $$;

-- Everything that was staged takes their place. Functions find their tables by the path of this
-- session, as if they had been made in it.
CREATE OR REPLACE FUNCTION uptimeo_older.move_in(p_schema name) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT c.oid::regclass AS name FROM pg_class c
        WHERE c.relnamespace = 'uptimeo_staging'::regnamespace AND (c.relkind IN ('r', 'p', 'v', 'm')
            OR c.relkind = 'S' AND NOT EXISTS (
                SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')
                  AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass))
    LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA %I', r.name, p_schema);
    END LOOP;
    FOR r IN
        SELECT t.oid::regtype AS name FROM pg_type t
        WHERE t.typnamespace = 'uptimeo_staging'::regnamespace AND (t.typtype IN ('e', 'd')
            OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    LOOP
        EXECUTE format('ALTER TYPE %s SET SCHEMA %I', r.name, p_schema);
    END LOOP;
    FOR r IN
        SELECT p.oid, EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%') AS has_path
        FROM pg_proc p WHERE p.pronamespace = 'uptimeo_staging'::regnamespace
    LOOP
        EXECUTE format('ALTER ROUTINE %s SET SCHEMA %I', r.oid::regprocedure, p_schema);
        CONTINUE WHEN NOT r.has_path;
        EXECUTE format('ALTER ROUTINE %s SET search_path FROM CURRENT', r.oid::regprocedure);
    END LOOP;
    DROP SCHEMA uptimeo_staging;
END $$;

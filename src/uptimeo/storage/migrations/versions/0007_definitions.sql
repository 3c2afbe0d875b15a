-- Which release's functions and views are in force.

CREATE TABLE schema_definitions (
    one_row    boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    digest     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE schema_definitions IS
    'the functions and views in force, by the digest of their texts; `uptimeo migrate` replaces them';

CREATE TABLE retention_clock (
    one_row       boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    believed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    doubted_since timestamptz,
    doubted_at    timestamptz,
    steady        interval
);
COMMENT ON TABLE retention_clock IS 'by what time retention goes: one row';
COMMENT ON COLUMN retention_clock.one_row IS 'always true: there is one row';
COMMENT ON COLUMN retention_clock.believed_at IS
    'the last time of the database''s clock that was believed, UTC';
COMMENT ON COLUMN retention_clock.doubted_since IS
    'since when that clock says what is far from it, by that clock; NULL: it does not';
COMMENT ON COLUMN retention_clock.doubted_at IS 'what it said last meanwhile';
COMMENT ON COLUMN retention_clock.steady IS 'how long it was seen to go on since then, hour by hour';

-- By the clock of this moment: whoever migrates sees to it that it is right.
INSERT INTO retention_clock DEFAULT VALUES;

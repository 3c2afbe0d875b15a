-- Jobs that are watched from the inside: what they signalled, and when it could be taken.

ALTER TABLE api_monitors ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN api_monitors.created_at IS
    'when the row was made, or this column; a push monitor awaits its first signal from then on';

-- The token itself is nowhere: whoever reads the database cannot signal with what is found here.
CREATE UNIQUE INDEX api_monitors_push_token ON api_monitors ((options ->> 'token_sha256'))
    WHERE upper(type) = 'PUSH';

CREATE TABLE push_signals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    monitor_id  int NOT NULL REFERENCES api_monitors ON DELETE CASCADE,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind        text NOT NULL CHECK (kind IN ('start', 'success', 'fail', 'exit')),
    exit_status smallint CHECK ((exit_status IS NOT NULL) = (kind = 'exit')),
    run_ms      double precision,
    source      inet,
    body        text
);
CREATE INDEX ON push_signals (monitor_id, id DESC);
COMMENT ON TABLE push_signals IS
    'calls of ping URLs: of each monitor the newest 100 starts and the newest 100 others';
COMMENT ON COLUMN push_signals.run_ms IS 'ms since the start that this signal is the end of';

CREATE TABLE push_receiving (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE push_receiving IS
    'from when to when a receiver could take signals and store them; the newest 1000 times';

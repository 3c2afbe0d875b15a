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

-- Keeps one signal; false if nobody has that token.
CREATE FUNCTION push_receive(p_token_sha256 text, p_kind text, p_exit_status int, p_source inet,
                             p_body text)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    v_monitor int;
    v_start timestamptz;
BEGIN
    SELECT id INTO v_monitor FROM api_monitors
    WHERE upper(type) = 'PUSH' AND options ->> 'token_sha256' = p_token_sha256;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_kind <> 'start' THEN
        SELECT s.received_at INTO v_start FROM (
            SELECT kind, received_at FROM push_signals
            WHERE monitor_id = v_monitor ORDER BY id DESC LIMIT 1) s
        WHERE s.kind = 'start';
    END IF;
    INSERT INTO push_signals (monitor_id, kind, exit_status, run_ms, source, body)
    VALUES (v_monitor, p_kind, p_exit_status,
            extract(epoch FROM clock_timestamp() - v_start) * 1000, p_source, p_body);
    DELETE FROM push_signals WHERE id IN (
        SELECT id FROM push_signals s
        WHERE s.monitor_id = v_monitor AND (s.kind = 'start') = (p_kind = 'start')
        ORDER BY id DESC OFFSET 100);
    RETURN true;
END $$;

-- Says that a receiver is there: goes on with the given time, or begins a new one; its id.
CREATE FUNCTION push_attend(p_receiver text, p_id bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    v_id bigint;
BEGIN
    UPDATE push_receiving SET seen_at = clock_timestamp()
    WHERE id = p_id AND seen_at > clock_timestamp() - interval '15 seconds'
    RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        INSERT INTO push_receiving (receiver) VALUES (p_receiver) RETURNING id INTO v_id;
        DELETE FROM push_receiving
        WHERE id IN (SELECT id FROM push_receiving ORDER BY id DESC OFFSET 1000);
    END IF;
    RETURN v_id;
END $$;

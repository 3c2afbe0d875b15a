-- Keeps one signal; false if nobody has that token.
CREATE OR REPLACE FUNCTION push_receive(p_token_sha256 text, p_kind text, p_exit_status int, p_source inet,
                             p_body text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
CREATE OR REPLACE FUNCTION push_attend(p_receiver text, p_id bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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

-- The monitor that has a token, by the clock of the database.
CREATE OR REPLACE FUNCTION push_monitor(p_token_sha256 text)
RETURNS TABLE (id int, now timestamptz, since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT id, clock_timestamp(), created_at FROM api_monitors
    WHERE upper(type) = 'PUSH' AND options ->> 'token_sha256' = p_token_sha256
$$;

-- The last start of the monitor with a token, and the last signal that is none.
CREATE OR REPLACE FUNCTION push_newest(p_token_sha256 text) RETURNS SETOF push_signals
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT s.* FROM push_monitor(p_token_sha256) m CROSS JOIN LATERAL (
        (SELECT * FROM push_signals
         WHERE monitor_id = m.id AND kind = 'start' ORDER BY id DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM push_signals
         WHERE monitor_id = m.id AND kind <> 'start' ORDER BY id DESC LIMIT 1)) s
$$;

-- Whether rows may be dropped as of a moment. All that is written here follows the database's
-- clock, so nothing in a table can tell a clock that is years ahead from one that is right. Only
-- this can: how much time was seen to pass, call by call, for retention asks every hour.
-- Within 7 days of what was believed last, a clock is believed. One that jumped is doubted; ahead,
-- it drops nothing. It is believed once it was seen to go on for 72 hours, of which two calls count
-- two at most: so an installation that was off for weeks goes on by itself. A jump of more than 90
-- days waits for a person: `retention_confirm`.
CREATE OR REPLACE FUNCTION retention_may(p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql STRICT SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    c retention_clock;
BEGIN
    -- It is asked once for each partition, and written every ten minutes.
    SELECT * INTO STRICT c FROM retention_clock;
    IF c.doubted_since IS NULL
       AND p_now BETWEEN c.believed_at AND c.believed_at + interval '10 min' THEN
        RETURN true;
    END IF;
    SELECT * INTO STRICT c FROM retention_clock FOR UPDATE;
    IF c.doubted_at IS NULL OR p_now < c.doubted_at - interval '1 hour' THEN
        c.doubted_since := p_now;
        c.doubted_at := p_now;
        c.steady := interval '0';
    ELSE
        c.steady := c.steady
            + greatest(least(p_now - c.doubted_at, interval '2 hours'), interval '0');
        -- Time that was seen once counts once, whoever goes back and forth.
        c.doubted_at := greatest(c.doubted_at, p_now);
    END IF;
    IF p_now BETWEEN c.believed_at - interval '7 days' AND c.believed_at + interval '7 days'
       OR c.steady >= interval '72 hours' AND p_now < c.believed_at + interval '90 days' THEN
        PERFORM retention_believe(p_now);
        RETURN true;
    END IF;
    UPDATE retention_clock
    SET doubted_since = c.doubted_since, doubted_at = c.doubted_at, steady = c.steady;
    -- A clock that is behind drops less, not more.
    RETURN p_now < c.believed_at;
END $$;

CREATE OR REPLACE FUNCTION retention_believe(p_now timestamptz) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE retention_clock
    SET believed_at = p_now, doubted_since = NULL, doubted_at = NULL, steady = NULL
$$;

-- Why nothing is dropped, in one row; none: it is. `still`: how long the clock has to be seen to go
-- on until it is believed; NULL: it waits for a person.
CREATE OR REPLACE FUNCTION retention_held()
RETURNS TABLE (since timestamptz, believed_at timestamptz, clock_at timestamptz, still interval)
LANGUAGE sql STABLE SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
    SELECT doubted_since, believed_at, doubted_at,
           CASE WHEN doubted_at < believed_at + interval '90 days'
                THEN greatest(interval '72 hours' - steady, interval '0') END
    FROM retention_clock WHERE doubted_at > believed_at
$$;

-- A person says what day it is, and that the database's clock is right. Refused if it is not.
CREATE OR REPLACE FUNCTION retention_confirm(
    p_today date, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS void LANGUAGE plpgsql SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
BEGIN
    IF (abs(p_now::date - p_today) <= 1) IS NOT TRUE THEN
        RAISE check_violation USING MESSAGE = format(
            'the database''s clock says %s (UTC), not %s: put its clock right first',
            to_char(p_now, 'YYYY-MM-DD HH24:MI'), coalesce(p_today::text, 'NULL'));
    END IF;
    PERFORM retention_believe(p_now);
END $$;

-- For whoever maintains the installation: how many unusual heartbeats there were on the UTC day of a
-- moment and since, by the datacenter that sent them and by kind.
CREATE OR REPLACE FUNCTION unusual_heartbeats_since(p_since timestamptz)
RETURNS TABLE (sender text, kind text, heartbeats bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT coalesce(u.datacenter, 'id ' || u.datacenter_id), u.kind, sum(u.rows)::bigint
    FROM unusual_heartbeats u
    WHERE u.day >= date_trunc('day', p_since, 'UTC')
    GROUP BY 1, 2
$$;

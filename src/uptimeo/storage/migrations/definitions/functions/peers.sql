CREATE OR REPLACE FUNCTION peer_key(p_datacenter int) RETURNS bytea
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO peer_keys (datacenter_id) VALUES (p_datacenter) ON CONFLICT DO NOTHING;
    RETURN (SELECT key FROM peer_keys WHERE datacenter_id = p_datacenter);
END $$;
REVOKE ALL ON FUNCTION peer_key(int) FROM PUBLIC;

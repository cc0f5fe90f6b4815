-- Figures of the state, for metrics: told by one scheduler, read from the analyst's views so that both say the same.

-- With its owner's rights: the scheduler reads neither views nor leavers' names, only numbers come out.
CREATE FUNCTION state_figures() RETURNS TABLE (figure text, first_label text, second_label text, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 'offboardings', o.status, NULL, count(*)
    FROM offboarding o WHERE o.status IN ('waiting', 'initiated', 'held') AND o.mode = 'live' GROUP BY o.status
    UNION ALL
    SELECT 'failed_jobs', f.system, f.outcome, count(*) FROM analyst.open_failures f WHERE f.mode = 'live' GROUP BY f.system, f.outcome
    UNION ALL
    SELECT 'stuck_jobs', s.system, NULL, count(*) FROM analyst.stuck_jobs s WHERE s.paused IS NULL GROUP BY s.system
    UNION ALL
    SELECT 'held_oldest', NULL, NULL, extract(epoch FROM min(h.received_at))
    FROM analyst.held_offboardings h WHERE h.mode = 'live' HAVING count(*) > 0
    UNION ALL
    SELECT 'due_rows', NULL, NULL, count(*) FROM (SELECT FROM due WHERE due_at <= now() LIMIT 10000) d
$$;
COMMENT ON FUNCTION state_figures() IS
    'Numbers of live offboardings by status, open failures and stuck jobs by system (a paused system''s are not stuck), since when the oldest is held (seconds since 1970), rows due now (at most 10,000 are counted).';
REVOKE ALL ON FUNCTION state_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION state_figures() TO offboard_scheduler;

CREATE FUNCTION event_partitions_end() RETURNS timestamptz
LANGUAGE sql STABLE SET timezone = 'UTC'
RETURN (SELECT max(to_timestamp(substr(c.relname, 7), 'YYYY_MM')) + interval '1 month'
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_\d{4}_\d\d$');
COMMENT ON FUNCTION event_partitions_end() IS 'The end of the last month that event has a partition for; null: there is none.';

-- Figures of the state, for metrics: told by one scheduler, read from the analyst's views so that both say the same.

-- With its owner's rights: the scheduler reads neither views nor leavers' names, only numbers come out.
CREATE FUNCTION state_figures() RETURNS TABLE (figure text, first_label text, second_label text, third_label text, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 'offboardings', o.status, NULL, NULL, count(*)
    FROM offboarding o WHERE o.status IN ('waiting', 'initiated', 'held') AND o.mode = 'live' GROUP BY o.status
    UNION ALL
    SELECT 'failed_jobs', f.system, f.effect, f.outcome, count(*)
    FROM analyst.open_failures f WHERE f.mode = 'live' GROUP BY f.system, f.effect, f.outcome
    UNION ALL
    SELECT 'stuck_jobs', s.system, NULL, NULL, count(*) FROM analyst.stuck_jobs s WHERE s.paused IS NULL GROUP BY s.system
    UNION ALL
    SELECT 'held_oldest', NULL, NULL, NULL, extract(epoch FROM min(h.received_at))
    FROM analyst.held_offboardings h WHERE h.mode = 'live' HAVING count(*) > 0
    UNION ALL
    SELECT 'early_oldest', NULL, NULL, NULL, extract(epoch FROM min(e.recorded_at))
    FROM early_result e WHERE e.applied_at IS NULL HAVING count(*) > 0
    UNION ALL
    SELECT 'due_rows', NULL, NULL, NULL, count(*) FROM (SELECT FROM due WHERE due_at <= now() LIMIT 10000) d
$$;
COMMENT ON FUNCTION state_figures() IS
    'Numbers of live offboardings by status, open failures by system, effect and outcome, stuck jobs by system (a paused system''s are not stuck), since when the oldest is held and since when the oldest early answer waits for its offboarding (seconds since 1970), rows due now (at most 10,000 are counted).';
REVOKE ALL ON FUNCTION state_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION state_figures() TO offboard_scheduler;

CREATE VIEW analyst.migrations AS SELECT m.version, m.name, m.applied_at FROM schema_migration m;
COMMENT ON VIEW analyst.migrations IS 'Migrations of the schema that were applied.';
COMMENT ON COLUMN analyst.migrations.version IS 'Its number.';
COMMENT ON COLUMN analyst.migrations.name IS 'Its file.';
COMMENT ON COLUMN analyst.migrations.applied_at IS 'When.';
GRANT SELECT ON analyst.migrations TO offboard_analyst;

CREATE FUNCTION event_partitions_end() RETURNS timestamptz
LANGUAGE sql STABLE SET timezone = 'UTC'
RETURN (SELECT max(to_timestamp(substr(c.relname, 7), 'YYYY_MM')) + interval '1 month'
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_\d{4}_\d\d$');
COMMENT ON FUNCTION event_partitions_end() IS 'The end of the last month that event has a partition for; null: there is none.';

-- What the edge may ask, which takes requests from the Internet: what became of orders and HR events whose ids it knows. It reads no table.
DO $$
BEGIN
    CREATE ROLE offboard_edge LOGIN;
    ALTER ROLE offboard_edge SET statement_timeout = '5s';
    ALTER ROLE offboard_edge SET default_transaction_read_only = on;
    COMMENT ON ROLE offboard_edge IS 'Offboard: asks what became of orders and HR events by their ids, nothing else.';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE FUNCTION results_of_orders(ids uuid[]) RETURNS TABLE (id uuid, "order" text, result text, why text, recorded_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (o.order_id) o.order_id, o."order", o.result, o.why, o.recorded_at
    FROM analyst.orders o WHERE o.order_id = ANY (ids) ORDER BY o.order_id, o.recorded_at
$$;
COMMENT ON FUNCTION results_of_orders(uuid[]) IS 'What became of these orders; those that are not recorded yet have no row.';

CREATE FUNCTION results_of_events(sources text[], ids text[])
RETURNS TABLE (source text, event text, disposition text, reason text, recorded_at timestamptz, offboarding_id uuid, status text,
               runbook text, started_by text, since bigint, planned bigint, thread jsonb, thread_comes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (a.n) i.source, i.source_event_id, i.disposition, coalesce(i.reason, p ->> 'reason'), i.recorded_at, i.offboarding_id,
           o.status, o.runbook, coalesce(o.actor ->> 'name', o.actor ->> 'id'), extract(epoch FROM o.started_at)::bigint,
           extract(epoch FROM o.effective_at)::bigint, t.thread, coalesce(t.comes AND t.thread IS NULL, false)
    FROM unnest(sources, ids) WITH ORDINALITY AS a (source, id, n)
         JOIN intake i ON i.source_event_id = a.id AND i.source = a.source
         CROSS JOIN LATERAL (SELECT opened(i.offboarding_id, i.personal)::jsonb OFFSET 0) AS x (p)
         LEFT JOIN offboarding o ON o.id = i.offboarding_id
         LEFT JOIN LATERAL (
             SELECT (array_agg(opened(j.offboarding_id, j.personal)::jsonb -> 'outputs' ORDER BY j.position)
                     FILTER (WHERE j.state = 'succeeded'))[1] AS thread,
                    o.started_at > now() - interval '1 minute' AND bool_or(j.state IN ('waiting', 'ready')) AS comes
             FROM job j
             WHERE j.offboarding_id = o.id AND j.system = 'slack' AND j.action = 'open_thread') t ON true
    ORDER BY a.n, i.disposition = 'duplicate', i.received_at
$$;
COMMENT ON FUNCTION results_of_events(text[], text[]) IS
    'What the planner decided about these HR events, by source and id: the first decision about each, with the offboarding that it concerns (who started it; when it started, and is to start, in seconds since 1970) and its Slack thread (channel, ts; thread_comes: it is about to be opened). Those that are not recorded yet have no row.';

REVOKE ALL ON FUNCTION results_of_orders(uuid[]), results_of_events(text[], text[]) FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO offboard_edge;
GRANT EXECUTE ON FUNCTION results_of_orders(uuid[]), results_of_events(text[], text[]) TO offboard_edge;

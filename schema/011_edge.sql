-- What the edge may ask, which takes requests from the Internet: what became of orders and HR events whose ids it knows. It reads no table.

CREATE FUNCTION results_of_orders(ids uuid[]) RETURNS TABLE (id uuid, "order" text, result text, why text, recorded_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (o.order_id) o.order_id, o."order", o.result, o.why, o.recorded_at
    FROM analyst.orders o WHERE o.order_id = ANY (ids) ORDER BY o.order_id, o.recorded_at
$$;
COMMENT ON FUNCTION results_of_orders(uuid[]) IS 'What became of these orders; those that are not recorded yet have no row.';

CREATE FUNCTION results_of_events(events jsonb)
RETURNS TABLE (source text, event text, disposition text, reason text, recorded_at timestamptz, offboarding_id uuid, status text,
               runbook text, started_by text, since bigint, planned bigint, thread jsonb, thread_comes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (a.n) i.source, i.source_event_id, i.disposition, coalesce(i.reason, p ->> 'reason'), i.recorded_at, i.offboarding_id,
           o.status, o.runbook, coalesce(o.actor ->> 'name', o.actor ->> 'id'), extract(epoch FROM o.started_at)::bigint,
           extract(epoch FROM o.effective_at)::bigint, t.thread, coalesce(t.comes AND t.thread IS NULL, false)
    FROM jsonb_array_elements(events) WITH ORDINALITY AS a (event, n)
         JOIN intake i ON i.source_event_id = a.event ->> 'id' AND i.source = a.event ->> 'source'
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
COMMENT ON FUNCTION results_of_events(jsonb) IS
    'What the planner decided about these HR events ([{source, id}]): the first decision about each, with the offboarding that it concerns (who started it; when it started, and is to start, in seconds since 1970) and its Slack thread (channel, ts; thread_comes: it is about to be opened). Those that are not recorded yet have no row.';

REVOKE ALL ON FUNCTION results_of_orders(uuid[]), results_of_events(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION results_of_orders(uuid[]), results_of_events(jsonb) TO offboard_edge;

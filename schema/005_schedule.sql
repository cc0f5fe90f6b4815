-- What the scheduler calls: due rows and notices become messages. It writes nothing but the deletion from due, roster_notice and pause_wanted.

CREATE FUNCTION mark_leaving(person jsonb, beside uuid) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(person) IS DISTINCT FROM 'object' THEN person
    WHEN EXISTS (SELECT FROM person_key k JOIN offboarding o ON o.id = k.offboarding_id
                 WHERE k.digest = ANY (person_digests(person_keys(person)))
                   AND o.mode = 'live' AND o.status IN ('waiting', 'held', 'initiated') AND o.id <> beside) THEN person || '{"leaving": true}'
    ELSE person - 'leaving'
END;
COMMENT ON FUNCTION mark_leaving(jsonb, uuid) IS
    'The person with `leaving: true` when an open live offboarding, other than that one, is about them; without `leaving` else.';

CREATE FUNCTION leaver_with_managers(leaver jsonb, beside uuid) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN leaver
    || CASE WHEN leaver ? 'manager' THEN jsonb_build_object('manager', mark_leaving(leaver -> 'manager', beside)) ELSE '{}' END
    || CASE WHEN jsonb_typeof(leaver -> 'manager_chain') = 'array'
            THEN jsonb_build_object('manager_chain', (
                     SELECT coalesce(jsonb_agg(mark_leaving(m.person, beside) ORDER BY m.n), '[]')
                     FROM jsonb_array_elements(leaver -> 'manager_chain') WITH ORDINALITY AS m (person, n)))
            ELSE '{}' END;
COMMENT ON FUNCTION leaver_with_managers(jsonb, uuid) IS
    'The object''s `user`, as it is now: of its managers it says who is leaving, too (nobody hands over to them).';

CREATE FUNCTION offboarding_object(o offboarding) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    p jsonb := personal_of(o);
BEGIN
    RETURN (p -> 'extra') || jsonb_build_object(
        'version', 1, 'id', o.id, 'user', leaver_with_managers(p -> 'leaver', o.id), 'actor', o.actor, 'status', o.status,
        'runbook', o.runbook, 'source', o.source, 'event', o.event, 'received_at', instant(o.received_at),
        'started_at', instant(o.started_at), 'effective_at', instant(o.effective_at), 'zone', o.zone, 'mode', o.mode,
        'priority', o.priority, 'ids', p -> 'ids');
END
$$;
COMMENT ON FUNCTION offboarding_object(offboarding) IS 'The offboarding object of messages.md, as it is now.';

CREATE FUNCTION status_told(p phase) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN p.status = 'initiated' AND NOT EXISTS (
                SELECT FROM job j WHERE j.offboarding_id = p.offboarding_id AND j.phase = p.name AND j.follower IS NULL
                                    AND j.state IN ('waiting', 'ready', 'failed') AND NOT j.spec ? 'only_verify')
            THEN 'completed' ELSE p.status END;
COMMENT ON FUNCTION status_told(phase) IS 'The phase''s status as people are told: also completed when only later read-backs remain.';

-- Announced is what is certain to change something, and all that takes access away (lib/plan.c says the same when an offboarding starts).
CREATE FUNCTION phases_told(o offboarding) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'name', p.name, 'title', s.phase -> 'title', 'beside', nullif(p.beside, false), 'ends_access', nullif(p.ends_access, false),
                   'status', status_told(p), 'due_at', CASE WHEN p.after_us > 0 OR p.started_at IS NOT NULL THEN instant(p.due_at) END,
                   'steps', jsonb_path_query_array(s.phase, '$.steps[*] ? (@.effect != "notify" && @.effect != "identify"
                       && (@.if == null || @.effect == "revoke") && !exists(@.only_verify) && !exists(@.quiet) && !exists(@.absent)).title'))) ORDER BY p.position)
        FROM jsonb_array_elements(o.plan -> 'phases') s (phase) JOIN phase p ON p.offboarding_id = o.id AND p.name = s.phase ->> 'name');
COMMENT ON FUNCTION phases_told(offboarding) IS 'What happens phase by phase, for those who tell people of it.';

CREATE FUNCTION left_in_place(o offboarding) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT jsonb_build_object('left', jsonb_agg(jsonb_build_object(
                            'system', coalesce(j.spec #>> '{title,system}', i.system), 'item', i.item, 'why', i.why)
                            ORDER BY i.system, i.kind, i.item))
                 FROM open_item i JOIN job j ON j.id = i.job_id
                 WHERE i.offboarding_id = o.id AND i.closed_at IS NULL
                 HAVING count(*) > 0), '{}');
COMMENT ON FUNCTION left_in_place(offboarding) IS 'What its steps left in place on purpose and nobody has resolved, for those who tell people of it.';

CREATE FUNCTION job_message(j job, o offboarding) RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN offboarding_object(o) || jsonb_build_object('job', jsonb_build_object(
    'id', j.id, 'phase', j.phase, 'step', j.step, 'system', j.system, 'action', j.action, 'if', j.spec -> 'if',
    'with', j.spec -> 'with', 'when', j.run_when, 'effect', j.effect, 'attempt', j.attempt, 'due_at', instant(j.due_at),
    'published_at', instant(clock_timestamp()), 'state', personal_of(j) -> 'saved',
    'needs', coalesce(nullif(j.spec -> 'needs', 'null'), '[]'),
    'steps', coalesce((SELECT jsonb_object_agg(n.step, jsonb_build_object('state', n.state, 'outcome', n.outcome,
                                                                           'outputs', coalesce(personal_of(n) -> 'outputs', '{}')))
                       FROM job n
                       WHERE n.id = ANY (j.needs)
                          OR j.spec ? 'reads' AND n.offboarding_id = j.offboarding_id AND j.spec -> 'reads' ? n.step), '{}'))
    || CASE WHEN j.effect = 'notify' THEN jsonb_build_object('phases', phases_told(o)) ELSE '{}' END
    || CASE WHEN j.follower IS NULL THEN '{}' ELSE jsonb_build_object('follower', j.spec -> 'kind', 'results', carried_results(j)) END
    || CASE WHEN j.follower IS NULL THEN '{}' ELSE left_in_place(o) END
    || CASE WHEN j.follower IS NULL OR o.status NOT IN ('cancelled', 'duplicate') THEN '{}'
            ELSE jsonb_build_object('cancelled', coalesce(opened(o.id, o.reason), 'no reason was given')) END
    || coalesce((SELECT jsonb_build_object('signals', jsonb_agg(h.heard ORDER BY h.received_at, h.id))
                 FROM (SELECT s.id, s.received_at, jsonb_build_object(
                                  'id', s.id, 'name', s.name, 'key', s.key, 'source', s.source, 'actor', s.actor,
                                  'data', coalesce(s.data, '{}'), 'at', instant(s.received_at)) AS heard
                       FROM awaited a CROSS JOIN LATERAL signals_about(a.signal, a.key) s
                       WHERE a.job_id = j.id) h
                 HAVING count(*) > 0), '{}')
    || jsonb_strip_nulls(jsonb_build_object('after_us', nullif(greatest(
                                                j.after_us, (SELECT p.after_us FROM phase p
                                                             WHERE p.offboarding_id = j.offboarding_id AND p.name = j.phase)), 0),
                                            'expires_us', j.spec -> 'expires_us', 'only_verify', j.spec -> 'only_verify',
                                            'inside', j.spec -> 'inside', 'run_if', j.spec -> 'run_if'))
    || CASE WHEN j.spec ? 'undo_of'
            THEN jsonb_build_object('undo_of', j.spec -> 'undo_of', 'before', coalesce(
                     (SELECT opened(n.offboarding_id, n.before_image, true)::jsonb FROM job n
                      WHERE n.offboarding_id = j.offboarding_id AND n.step = j.spec ->> 'undo_of'), '{}'))
            ELSE '{}' END);
COMMENT ON FUNCTION job_message(job, offboarding) IS
    'The job message of messages.md: the offboarding object with the job, and the outputs of the steps it needs.';

-- With its owner's rights, as locking a row takes more than the scheduler's role may: it can delete, nothing else.
CREATE FUNCTION take_due(most integer, barred text[]) RETURNS SETOF due
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM due WHERE ctid = ANY (ARRAY(
        SELECT d.ctid FROM due d
        WHERE d.due_at <= now()
          AND (barred = '{}' OR NOT EXISTS (SELECT FROM job j WHERE j.id = d.job_id AND j.system = ANY (barred)))
        ORDER BY d.due_at LIMIT most
        FOR UPDATE OF d SKIP LOCKED))
    RETURNING *
$$;
COMMENT ON FUNCTION take_due(integer, text[]) IS
    'Deletes and returns the earliest rows that are due and that no other scheduler holds, but for jobs of the systems named.';

CREATE FUNCTION asks_planner(o offboarding) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN o.status = 'waiting' AND o.mode = 'live' AND NOT o.approved;
COMMENT ON FUNCTION asks_planner(offboarding) IS
    'Is it the planner that says whether it starts when its date comes? It counts all starts, by guards.cap_per_hour.';

CREATE FUNCTION take_notices(most integer) RETURNS SETOF roster_notice
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM roster_notice WHERE ctid = ANY (ARRAY(SELECT n.ctid FROM roster_notice n LIMIT most FOR UPDATE OF n SKIP LOCKED))
    RETURNING *
$$;
COMMENT ON FUNCTION take_notices(integer) IS 'Deletes and returns what the planner has to know and no other scheduler holds.';

CREATE FUNCTION take_pauses() RETURNS SETOF pause_wanted
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM pause_wanted WHERE ctid = ANY (ARRAY(SELECT w.ctid FROM pause_wanted w FOR UPDATE OF w SKIP LOCKED))
    RETURNING *
$$;
COMMENT ON FUNCTION take_pauses() IS 'Deletes and returns the systems that are to be paused and that no other scheduler holds.';

-- Taking is a statement of its own: one statement would look at the jobs as they were before the rows it takes were committed,
-- and drop as stale what has only just become due.
CREATE FUNCTION due_messages(most integer, barred text[])
RETURNS TABLE (kind text, due_at timestamptz, offboarding_id uuid, priority text, system text, traceparent text, message jsonb,
               configured boolean)
LANGUAGE plpgsql AS $$
DECLARE
    taken due[] := ARRAY(SELECT t FROM take_due(most, barred) t);
    -- Their topics were there once, so a topic that is missing is a fault.
    known text[] := ARRAY(SELECT DISTINCT substring(k.topic FROM '\.results\.(.*)$') FROM kafka_offset k WHERE k.topic LIKE '%.results.%');
BEGIN
    RETURN QUERY
    SELECT k.kind, d.due_at, d.offboarding_id, o.priority, j.system, o.traceparent,
           CASE k.kind WHEN 'job' THEN job_message(j, o)
                       WHEN 'start' THEN jsonb_build_object('version', 1, 'due_at', instant(d.due_at))
                       WHEN 'phase' THEN jsonb_build_object('phase', d.phase, 'due_at', instant(d.due_at)) END,
           coalesce(j.system = ANY (known), false)
    FROM unnest(taken) d
         LEFT JOIN offboarding o ON o.id = d.offboarding_id
         LEFT JOIN job j ON j.id = d.job_id
         LEFT JOIN phase p ON p.offboarding_id = d.offboarding_id AND p.name = d.phase
         CROSS JOIN LATERAL (
             SELECT CASE WHEN o.erase_ordered_at IS NOT NULL THEN 'stale'
                         WHEN d.job_id IS NOT NULL AND (o.status = 'initiated' OR outlives(j))
                              AND j.state = 'ready' AND j.attempt = d.attempt THEN 'job'
                         WHEN d.phase IS NULL OR o.status NOT IN ('waiting', 'initiated') OR p.status <> 'waiting'
                              OR p.due_at <> d.due_at OR o.id IS NULL OR p.due_at IS NULL THEN 'stale'
                         WHEN asks_planner(o) THEN 'start'
                         ELSE 'phase' END OFFSET 0) AS k (kind)
    ORDER BY d.due_at;
    RETURN QUERY
    SELECT n.kind, now(), n.offboarding_id, NULL, NULL, o.traceparent, jsonb_build_object('version', 1, 'at', instant(now())), false
    FROM take_notices(most) n LEFT JOIN offboarding o ON o.id = n.offboarding_id;
    RETURN QUERY
    SELECT 'pause', now(), NULL::uuid, NULL, p.system, NULL,
           jsonb_build_object('version', 1, 'reason', p.reason, 'at', instant(now()),
                              'actor', jsonb_build_object('kind', 'worker', 'id', p.system, 'name', 'offboard-worker')), true
    FROM take_pauses() p;
END
$$;
COMMENT ON FUNCTION due_messages(integer, text[]) IS
    'Takes what is due and builds what to publish: job messages, contexts of phase.due events, and records of the roster: start (may it start now?), ended, approved, erase (delete its key); and orders to pause a system. Kind stale: the row no longer agrees with its job or phase, or the offboarding is erased, and the row is dropped. SQLSTATE OB002 while the key of an offboarding is not there.';

-- A job whose message waits at a slow system has no answer either, nor has a phase whose event waits for the logger: which of them
-- are lost is for the scheduler to find out (scheduler/lost.c).
CREATE FUNCTION unanswered(older interval)
RETURNS TABLE (kind text, id uuid, attempt integer, offboarding_id uuid, priority text, system text, traceparent text, context jsonb)
LANGUAGE sql STABLE AS $$
    SELECT 'job', j.id, j.attempt, j.offboarding_id, o.priority, j.system, o.traceparent,
           jsonb_build_object('job_id', j.id, 'phase', j.phase, 'step', j.step, 'system', j.system, 'action', j.action,
                              'effect', j.effect, 'attempt', j.attempt, 'due_at', instant(j.due_at), 'mode', o.mode, 'outcome', 'lost')
    FROM open_job w JOIN job j ON j.id = w.job_id JOIN offboarding o ON o.id = w.offboarding_id
    WHERE w.state = 'ready' AND w.due_at <= now() - older AND (o.status = 'initiated' OR outlives(j))
      AND NOT EXISTS (SELECT FROM due d WHERE d.due_at = j.due_at AND d.job_id = j.id)
      AND NOT EXISTS (SELECT FROM awaited a JOIN due d ON d.due_at = a.woken_at AND d.job_id = j.id WHERE a.job_id = j.id)
    UNION ALL
    SELECT 'phase', o.id, p.position, o.id, o.priority, NULL, o.traceparent,
           jsonb_build_object('phase', p.name, 'due_at', instant(p.due_at))
    FROM offboarding o JOIN phase p ON p.offboarding_id = o.id AND p.status = 'waiting'
    WHERE o.status IN ('waiting', 'initiated')
      AND p.due_at <= now() - older AND greatest(p.due_at, p.repeated_at) <= now() - older
      AND NOT EXISTS (SELECT FROM due d WHERE d.due_at = p.due_at AND d.offboarding_id = o.id AND d.phase = p.name)
$$;
COMMENT ON FUNCTION unanswered(interval) IS
    'Jobs that were published, and phases that were said to be due, so long ago without an answer; with the context of the event that has them published again. A phase''s id is its offboarding''s, its attempt its position.';

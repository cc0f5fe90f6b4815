-- The state machine: jobs, phases, offboardings. Everything here is set-based and is called by the logger (004) with
-- the offboardings concerned locked.

-- ---- jobs -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION job_transition_allowed(before text, after text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE before
    WHEN 'waiting' THEN after IN ('ready', 'succeeded', 'skipped', 'failed', 'cancelled')
    WHEN 'ready' THEN after IN ('ready', 'succeeded', 'skipped', 'failed', 'cancelled') -- ready again: deferred
    WHEN 'failed' THEN after IN ('waiting', 'ready', 'succeeded', 'skipped') -- retry (behind what it needs, too), a late success, skip
    WHEN 'skipped' THEN after = 'succeeded' -- a late success is the truth
    WHEN 'cancelled' THEN after = 'succeeded'
    ELSE false -- succeeded is final
END;
COMMENT ON FUNCTION job_transition_allowed(text, text) IS 'May a job go from the one state to the other?';

CREATE FUNCTION outcome_state(outcome text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN outcome IN ('succeeded', 'already_done') THEN 'succeeded'
    WHEN outcome IN ('skipped', 'missing', 'unconfigured') THEN 'skipped'
    WHEN outcome = 'deferred' THEN 'ready'
    WHEN outcome IN ('failed', 'blocked', 'denied') THEN 'failed'
    WHEN outcome = 'cancelled' THEN 'cancelled'
END;
COMMENT ON FUNCTION outcome_state(text) IS 'State of a job after an outcome; null when the outcome is unknown.';

CREATE TYPE job_change AS (
    job_id uuid,
    state text,
    reason text,
    attempt integer,
    due_at timestamptz,
    queue boolean,
    answer jsonb
);
COMMENT ON TYPE job_change IS 'One change of a job''s state, for change_job_state(). Null members leave the job''s column alone.';
COMMENT ON COLUMN job_change.job_id IS 'The job.';
COMMENT ON COLUMN job_change.state IS 'The state it gets.';
COMMENT ON COLUMN job_change.reason IS 'Why, in one sentence.';
COMMENT ON COLUMN job_change.attempt IS 'The attempt it gets.';
COMMENT ON COLUMN job_change.due_at IS 'When that attempt is to run.';
COMMENT ON COLUMN job_change.queue IS 'The scheduler is to publish it: a row in due.';
COMMENT ON COLUMN job_change.answer IS 'The worker''s event that tells of the change.';

CREATE FUNCTION signals_about(signal text, key text) RETURNS SETOF signal
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.* FROM signal s WHERE s.name = signals_about.signal AND s.key = signals_about.key
    ORDER BY s.received_at DESC, s.id LIMIT 50;
END;
COMMENT ON FUNCTION signals_about(text, text) IS 'What a job that waits for this is told: the latest signals, at most 50.';

CREATE FUNCTION personal_of(o offboarding) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN opened(o.id, o.personal, true)::jsonb;
COMMENT ON FUNCTION personal_of(offboarding) IS 'Its leaver, ids and extra. SQLSTATE OB002 when its key is not there.';

CREATE FUNCTION personal_of(j job) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(opened(j.offboarding_id, j.personal, true)::jsonb, '{}');
COMMENT ON FUNCTION personal_of(job) IS 'Its reason, outputs, says, saved and verified, as far as there are any. SQLSTATE OB002 when its key is not there.';

CREATE FUNCTION with_answer(j job, reason text, context jsonb) RETURNS bytea
LANGUAGE plpgsql PARALLEL SAFE AS $$
DECLARE
    personal jsonb := personal_of(j) - 'reason';
BEGIN
    personal := personal
        || CASE WHEN reason IS NULL THEN '{}' ELSE jsonb_build_object('reason', reason) END
        || (SELECT coalesce(jsonb_object_agg(m.kept, context -> m.said), '{}')
            FROM (VALUES ('outputs', 'outputs'), ('says', 'says'), ('dry', 'dry'), ('saved', 'state'), ('verified', 'verified')) m (kept, said)
            WHERE context -> m.said <> 'null');
    RETURN CASE WHEN personal <> '{}' THEN sealed(j.offboarding_id, personal::text) END;
END
$$;
COMMENT ON FUNCTION with_answer(job, text, jsonb) IS
    'The job''s personal data with this reason and what the context of a worker''s answer says, sealed.';

CREATE FUNCTION job_result(j job) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    p jsonb := personal_of(j);
BEGIN
    RETURN jsonb_build_object(
        'phase', j.phase, 'step', j.step, 'system', j.system, 'action', j.action, 'effect', j.effect, 'state', j.state,
        'outcome', coalesce(j.outcome, j.state), 'message', coalesce(p ->> 'reason', j.state), 'at', instant(j.changed_at),
        'outputs', coalesce(p -> 'outputs', '{}'), 'title', j.spec -> 'title', 'says', p -> 'says', 'dry', p -> 'dry',
        'undo_of', j.spec -> 'undo_of', 'verified', j.verified_at IS NOT NULL);
END
$$;
COMMENT ON FUNCTION job_result(job) IS 'What became of a job, as followers carry it.';

CREATE FUNCTION is_quiet(j job) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN j.spec ?| '{only_verify,quiet}';
COMMENT ON FUNCTION is_quiet(job) IS 'Do followers hear only of its failure? So it is with later read-backs, and with steps that the runbook calls quiet.';

-- With its owner's rights, as the logger's role may not update job: there is no other way to change a state.
CREATE FUNCTION change_job_state(changes job_change[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    changed integer;
    refused text;
BEGIN
    UPDATE job j
    SET state = c.state,
        attempt = coalesce(c.attempt, j.attempt),
        due_at = coalesce(c.due_at, j.due_at),
        changed_at = now(),
        outcome = coalesce(a.context ->> 'outcome', j.outcome),
        status_code = coalesce((c.answer #>> '{response,statusCode}')::integer, j.status_code),
        personal = CASE WHEN num_nonnulls(j.personal, c.reason, c.answer) > 0 THEN with_answer(j, c.reason, a.context) END,
        verified_at = CASE WHEN (a.context #>> '{verified,ok}')::boolean
                           THEN coalesce((a.context #>> '{verified,at}')::timestamptz, (c.answer ->> 'timestamp')::timestamptz)
                           ELSE j.verified_at END,
        answered_at = coalesce((c.answer ->> 'timestamp')::timestamptz, j.answered_at),
        duration_ms = coalesce((a.context ->> 'duration_ms')::numeric::bigint, j.duration_ms)
    FROM unnest(changes) c
         CROSS JOIN LATERAL (SELECT c.answer -> 'context' AS context) a
    WHERE j.id = c.job_id AND job_transition_allowed(j.state, c.state);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(changes) THEN
        SELECT string_agg(format('job %s may not go from %s to %s', c.job_id, coalesce(j.state, 'nowhere'), c.state), '; ')
        INTO refused
        FROM unnest(changes) c LEFT JOIN job j ON j.id = c.job_id
        WHERE job_transition_allowed(j.state, c.state) IS NOT TRUE;
        RAISE EXCEPTION USING ERRCODE = 'data_exception', MESSAGE = coalesce(refused, 'a job appears twice in one change');
    END IF;
    DELETE FROM open_job w USING unnest(changes) c WHERE w.job_id = c.job_id AND c.state NOT IN ('ready', 'failed');
    INSERT INTO open_job (job_id, offboarding_id, state, due_at)
    SELECT j.id, j.offboarding_id, j.state, j.due_at
    FROM unnest(changes) c JOIN job j ON j.id = c.job_id
    WHERE c.state IN ('ready', 'failed')
    ON CONFLICT (job_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at;
    INSERT INTO result (offboarding_id, job_id, phase, state, sealed)
    SELECT j.offboarding_id, j.id, j.phase, j.state,
           sealed(j.offboarding_id, (job_result(j)
               || CASE WHEN c.answer #>> '{context,progress}' IS NULL THEN '{}'
                       ELSE jsonb_build_object('outcome', 'progress', 'message', c.answer #>> '{context,progress}') END)::text)
    FROM unnest(changes) c JOIN job j ON j.id = c.job_id
    WHERE (c.state NOT IN ('waiting', 'ready') OR c.answer #>> '{context,progress}' IS NOT NULL) AND j.follower IS NULL
      AND (c.state = 'failed' OR NOT is_quiet(j))
      AND EXISTS (SELECT FROM follower f WHERE f.offboarding_id = j.offboarding_id)
    ORDER BY j.position;
    INSERT INTO due (due_at, offboarding_id, job_id, attempt)
    SELECT j.due_at, j.offboarding_id, j.id, j.attempt
    FROM unnest(changes) c JOIN job j ON j.id = c.job_id
    WHERE c.queue
    ORDER BY j.due_at;
END
$$;
COMMENT ON FUNCTION change_job_state(job_change[]) IS
    'The only place that changes job.state (and writes due rows of jobs). A transition that is not allowed is an error.';

-- With its owner's rights, for the same reason.
CREATE FUNCTION keep_before_images(jobs uuid[], images jsonb[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE job j
    SET before_image = sealed(j.offboarding_id,
                              (i.image || coalesce(opened(j.offboarding_id, j.before_image, true)::jsonb, '{}'))::text)
    FROM unnest(jobs, images) i (job_id, image)
    WHERE j.id = i.job_id AND jsonb_typeof(i.image) = 'object'
$$;
COMMENT ON FUNCTION keep_before_images(uuid[], jsonb[]) IS
    'Before-images of jobs, at most one of each job; of every account the first one stays: a later attempt sees what an earlier one changed.';

-- A job ready to run as soon as its time has come: first publication, by the scheduler.
CREATE FUNCTION ready_at(base timestamptz, after_us bigint) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(now(), base + duration(after_us));
COMMENT ON FUNCTION ready_at(timestamptz, bigint) IS
    'When something with an `after` runs: that long after the base, which is the later of effective_at and the actual start; never in the past.';

CREATE FUNCTION expired(base timestamptz, phase_us bigint, step_us bigint, expires_us bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(greatest(phase_us, step_us) > 0 AND base + duration(greatest(phase_us, step_us) + expires_us) < now(), false);
COMMENT ON FUNCTION expired(timestamptz, bigint, bigint, bigint) IS
    'Is it too late for a step that the runbook gives a time (its own, or its phase''s) and a term (null: none)? A step without a time is due as soon as it may run; whether it waited too long from then on is for the worker to see.';

CREATE FUNCTION resolve_jobs(affected uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    changes job_change[];
BEGIN
    LOOP
        SELECT array_agg(ROW(r.id, d.state, d.reason, CASE WHEN d.state = 'ready' THEN r.attempt + 1 END,
                             CASE WHEN d.state = 'ready' THEN ready_at(r.base, r.after_us) END,
                             d.state = 'ready', NULL)::job_change)
        INTO changes
        FROM (SELECT j.id, j.attempt, coalesce((j.spec ->> 'wait_us')::bigint, j.after_us) AS after_us, p.after_us AS phase_us, j.spec,
                     CASE WHEN j.spec ? 'wait_us' THEN n.answered_at ELSE greatest(o.effective_at, o.started_at) END AS base,
                     CASE WHEN n.cancelled > 0 THEN 'cancelled'
                          WHEN j.run_when = 'on_success' THEN
                              CASE WHEN n.skipped > 0 THEN 'skipped' WHEN n.succeeded = n.needed THEN 'ready' END
                          WHEN j.run_when = 'any' AND n.succeeded + n.failed > 0 THEN 'ready'
                          WHEN n.open > 0 THEN NULL
                          WHEN j.run_when = 'any' THEN 'skipped'
                          WHEN j.run_when = 'unless_failed' AND n.failed > 0 THEN NULL
                          WHEN j.run_when = 'on_failure' AND n.failed = 0 THEN 'skipped'
                          ELSE 'ready' END AS state,
                     CASE WHEN n.cancelled > 0 THEN 'a step it needs was cancelled'
                          WHEN j.run_when = 'on_success' AND n.skipped > 0 THEN 'a step it needs was skipped'
                          WHEN j.run_when = 'any' AND n.succeeded + n.failed = 0 THEN 'all steps it needs were skipped'
                          WHEN j.run_when = 'on_failure' AND n.failed = 0 THEN 'no step it needs failed' END AS reason
              FROM offboarding o
                   JOIN job j ON j.offboarding_id = o.id AND j.state = 'waiting'
                   JOIN phase p ON p.offboarding_id = o.id AND p.name = j.phase AND p.status = 'initiated'
                   CROSS JOIN LATERAL (
                       SELECT count(*) AS needed,
                              count(*) FILTER (WHERE d.state = 'succeeded') AS succeeded,
                              count(*) FILTER (WHERE d.state = 'skipped') AS skipped,
                              count(*) FILTER (WHERE d.state = 'failed') AS failed,
                              count(*) FILTER (WHERE d.state = 'cancelled') AS cancelled,
                              count(*) FILTER (WHERE d.state IN ('waiting', 'ready')) AS open,
                              max(d.answered_at) AS answered_at
                       FROM job d WHERE d.id = ANY (j.needs)) n
              WHERE o.id = ANY (affected) AND o.status = 'initiated'
                AND NOT (j.spec ? 'behind' AND EXISTS (
                    SELECT FROM job b
                    WHERE b.offboarding_id = j.offboarding_id AND j.spec -> 'behind' ? b.step
                      AND b.state IN ('waiting', 'ready', 'failed')))) r
             CROSS JOIN LATERAL (
                 SELECT r.state = 'ready' AND r.attempt = 0 AND expired(r.base, r.phase_us, r.after_us, (r.spec ->> 'expires_us')::bigint)
                 OFFSET 0) AS e (expired)
             CROSS JOIN LATERAL (
                 SELECT CASE WHEN e.expired THEN 'skipped' ELSE r.state END,
                        CASE WHEN e.expired THEN 'expired: it could not begin in time' ELSE r.reason END) AS d (state, reason)
        WHERE r.state IS NOT NULL;
        EXIT WHEN changes IS NULL;
        PERFORM change_job_state(changes);
        EXIT WHEN NOT EXISTS (SELECT FROM unnest(changes) c WHERE c.state <> 'ready'); -- those decide nothing yet
    END LOOP;
END
$$;
COMMENT ON FUNCTION resolve_jobs(uuid[]) IS
    'Waiting jobs of running phases whose needs are decided become due, skipped or cancelled, until nothing changes.';

-- ---- phases and offboardings ----------------------------------------------------------------------------------------

-- RFC 9562, 5.3: name-based, by MD5, which PostgreSQL has. Jobs of followers are made here, and nobody else computes their ids.
CREATE FUNCTION follower_job_id(offboarding uuid, step text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT overlay(overlay(h PLACING '3' FROM 13)
                       PLACING substr('89ab', (('x' || substr(h, 17, 1))::bit(4)::integer & 3) + 1, 1) FROM 17)::uuid
        FROM (SELECT md5(decode(replace(offboarding::text, '-', ''), 'hex') || convert_to('follower/' || step, 'UTF8'))) AS x (h));
COMMENT ON FUNCTION follower_job_id(uuid, text) IS 'UUIDv3 of the offboarding''s id and follower/step.';

CREATE FUNCTION outlives(j job) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN j.follower IS NOT NULL OR j.spec ? 'undo_of';
COMMENT ON FUNCTION outlives(job) IS 'Is it done even though its offboarding is over? Those that tell of results, and those that undo.';

CREATE FUNCTION comes_later(j job) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN j.attempt = 1 AND j.due_at > now();
COMMENT ON FUNCTION comes_later(job) IS 'Has the runbook given a job that is ready a day that has not come? One that was put off has a later attempt.';

-- What was not done is told in the report of its phase, once.
CREATE FUNCTION is_told(kind text, state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE kind WHEN 'mirror' THEN state NOT IN ('skipped', 'cancelled') WHEN 'on_failure' THEN state = 'failed' ELSE false END;
COMMENT ON FUNCTION is_told(text, text) IS 'Is a result with this state carried by a mirror, or by on_failure?';

CREATE FUNCTION untold_results(f follower, OUT phase text, OUT carries int8range)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    told bigint;
BEGIN
    IF f.kind = 'on_phase_end' THEN
        -- Of a phase that never began there is nothing to report. What waits here waits for a step that failed, or for its day.
        SELECT p.name, int8range(min(r.id), max(r.id), '[]') INTO phase, carries
        FROM phase p JOIN result r ON r.offboarding_id = p.offboarding_id AND r.phase = p.name
        WHERE p.offboarding_id = f.offboarding_id AND p.started_at IS NOT NULL
          AND r.id >= coalesce((SELECT max(upper(j.carries)) FROM job j
                                WHERE j.offboarding_id = f.offboarding_id AND j.follower = f.name AND j.phase = p.name), 0)
          AND NOT EXISTS (SELECT FROM job j WHERE j.offboarding_id = f.offboarding_id AND j.phase = p.name
                                              AND j.follower IS NULL AND j.state = 'ready' AND NOT comes_later(j))
        GROUP BY p.name, p.position ORDER BY p.position LIMIT 1;
        RETURN;
    END IF;
    SELECT max(upper(j.carries)) INTO told FROM job j WHERE j.offboarding_id = f.offboarding_id AND j.follower = f.name;
    SELECT (array_agg(r.phase ORDER BY r.id DESC))[1], int8range(min(r.id), max(r.id), '[]') INTO phase, carries
    FROM (SELECT n.id, n.phase FROM result n
          WHERE n.offboarding_id = f.offboarding_id AND n.id >= coalesce(told, 0)
            AND is_told(f.kind, n.state)
          ORDER BY n.id LIMIT 20) r -- more than a chat or a ticket takes in one text wait for the next job
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION untold_results(follower) IS
    'What a follower has to tell now: ids from the first to the last result that none of its jobs carries (on_phase_end: of the first phase of which nothing is under way any more), and the phase that its job belongs to, that of the last. Null: nothing.';

CREATE FUNCTION may_tell(f follower) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT EXISTS (SELECT FROM job j WHERE j.id = ANY (f.needs) AND j.state <> 'succeeded');
COMMENT ON FUNCTION may_tell(follower) IS 'Have the jobs that it needs succeeded?';

-- A report closes the thread. Another system's outage keeps none back.
CREATE FUNCTION mirrored_first(f follower) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM follower m
        WHERE m.offboarding_id = f.offboarding_id AND m.kind = 'mirror' AND m.spec ->> 'system' = f.spec ->> 'system'
          AND (EXISTS (SELECT FROM job j WHERE j.offboarding_id = m.offboarding_id AND j.follower = m.name AND j.state = 'ready')
               OR may_tell(m) AND (untold_results(m)).carries IS NOT NULL))
$$;
COMMENT ON FUNCTION mirrored_first(follower) IS
    'Is there a mirror of the same system that still has something to tell? A report waits for it.';

CREATE FUNCTION follow(affected uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    changes job_change[];
BEGIN
    WITH ripe AS MATERIALIZED (
        SELECT f.offboarding_id, f.name, f.spec, f.needs, u.phase, u.carries, n.number
        FROM follower f
             JOIN offboarding o ON o.id = f.offboarding_id AND o.started_at IS NOT NULL
             CROSS JOIN LATERAL (
                 SELECT count(*) + 1 AS number, bool_or(j.state = 'ready') AS tells
                 FROM job j WHERE j.offboarding_id = f.offboarding_id AND j.follower = f.name) n
             CROSS JOIN LATERAL untold_results(f) u
        WHERE f.offboarding_id = ANY (affected) AND o.erase_ordered_at IS NULL AND n.tells IS NOT TRUE AND u.carries IS NOT NULL
          AND may_tell(f) AND (f.kind <> 'on_phase_end' OR NOT mirrored_first(f))
          AND (o.status IN ('initiated', 'cancelled', 'duplicate')
               OR EXISTS (SELECT FROM job j WHERE j.offboarding_id = f.offboarding_id AND j.spec ? 'undo_of'))),
    made AS (
        INSERT INTO job (id, offboarding_id, phase, step, position, system, action, effect, needs, spec, follower, carries)
        SELECT follower_job_id(r.offboarding_id, s.step), r.offboarding_id, r.phase, s.step,
               (SELECT max(j.position) FROM job j WHERE j.offboarding_id = r.offboarding_id)
               + row_number() OVER (PARTITION BY r.offboarding_id ORDER BY r.name),
               r.spec ->> 'system', r.spec ->> 'action', r.spec ->> 'effect', r.needs, r.spec, r.name, r.carries
        FROM ripe r
             CROSS JOIN LATERAL (SELECT r.name || CASE WHEN r.number > 1 THEN '.' || r.number ELSE '' END) AS s (step)
        RETURNING id)
    SELECT array_agg(ROW(id, 'ready', NULL, 1, now(), true, NULL)::job_change) INTO changes FROM made;
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
END
$$;
COMMENT ON FUNCTION follow(uuid[]) IS
    'Followers that have something to tell, are telling nothing and whose needs have succeeded get a job. They tell of a cancellation, too, and of what is undone later, but of nothing that never began.';

CREATE FUNCTION carried_results(j job) RETURNS jsonb
LANGUAGE sql STABLE
RETURN CASE WHEN j.spec ->> 'kind' = 'on_phase_end' THEN
    (SELECT jsonb_agg(job_result(s) ORDER BY s.position)
     FROM job s WHERE s.offboarding_id = j.offboarding_id AND s.phase = j.phase AND s.follower IS NULL
                  AND (s.state = 'failed' OR NOT is_quiet(s)))
ELSE
    (SELECT jsonb_agg(opened(r.offboarding_id, r.sealed, true)::jsonb ORDER BY r.id)
     FROM result r
     WHERE r.offboarding_id = j.offboarding_id AND r.id >= lower(j.carries) AND r.id < upper(j.carries)
       AND is_told(j.spec ->> 'kind', r.state))
END;
COMMENT ON FUNCTION carried_results(job) IS
    'The results that a follower''s job carries; of on_phase_end those of the whole phase, as they are now.';

CREATE FUNCTION waits_for_phases(p phase) RETURNS boolean
LANGUAGE sql STABLE
RETURN NOT p.beside AND EXISTS (SELECT FROM phase b WHERE b.offboarding_id = p.offboarding_id AND b.position < p.position
                                                     AND b.status NOT IN ('completed', 'cancelled'));
COMMENT ON FUNCTION waits_for_phases(phase) IS 'Is a phase before it not over? A phase that runs beside the others waits for none.';

CREATE FUNCTION settle(affected uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved uuid[] := affected;
    ended uuid[];
BEGIN
    WHILE cardinality(moved) > 0 LOOP
        PERFORM resolve_jobs(moved);
        WITH over AS (
            UPDATE phase p SET status = 'completed', ended_at = now()
            WHERE p.offboarding_id = ANY (moved) AND p.status = 'initiated'
              AND NOT EXISTS (SELECT FROM job j WHERE j.offboarding_id = p.offboarding_id AND j.phase = p.name
                                                  AND j.follower IS NULL AND j.state IN ('waiting', 'ready', 'failed'))
            RETURNING p.offboarding_id)
        SELECT array_agg(DISTINCT offboarding_id) INTO ended FROM over;
        -- Those before it may have been cancelled, too: a held phase is looked at in any case.
        WITH begun AS (
            UPDATE phase p SET status = 'initiated', started_at = now()
            FROM offboarding o
            WHERE p.offboarding_id = ANY (moved) AND p.status = 'held' AND o.id = p.offboarding_id AND o.status = 'initiated'
              AND NOT waits_for_phases(p)
            RETURNING p.offboarding_id)
        SELECT array_agg(DISTINCT b.offboarding_id) INTO moved FROM (SELECT offboarding_id FROM begun UNION SELECT unnest(ended)) b;
    END LOOP;
    PERFORM follow(affected);
    UPDATE offboarding o SET status = 'completed', ended_at = now()
    WHERE o.id = ANY (affected) AND o.status = 'initiated'
      AND NOT EXISTS (SELECT FROM phase p WHERE p.offboarding_id = o.id AND p.status NOT IN ('completed', 'cancelled'))
      AND NOT EXISTS (SELECT FROM job j WHERE j.offboarding_id = o.id AND j.follower IS NOT NULL
                                          AND j.state IN ('waiting', 'ready', 'failed'))
      AND NOT EXISTS (SELECT FROM open_item i WHERE i.offboarding_id = o.id AND i.closed_at IS NULL);
END
$$;
COMMENT ON FUNCTION settle(uuid[]) IS
    'Brings offboardings to rest after a change: resolves jobs, completes phases, starts held ones, completes offboardings.';

CREATE FUNCTION wait_until_effective(affected uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH first AS (
        UPDATE phase p SET due_at = o.effective_at
        FROM offboarding o
        WHERE o.id = ANY (affected) AND o.status = 'waiting' AND p.offboarding_id = o.id AND p.position = 1
          AND p.due_at IS DISTINCT FROM o.effective_at
        RETURNING p.due_at, p.offboarding_id, p.name)
    INSERT INTO due (due_at, offboarding_id, phase)
    SELECT f.due_at, f.offboarding_id, f.name FROM first f
    WHERE NOT EXISTS (SELECT FROM due d WHERE d.due_at = f.due_at AND d.offboarding_id = f.offboarding_id AND d.phase = f.name)
    ORDER BY f.due_at; -- who was moved there and back has it already
END
$$;
COMMENT ON FUNCTION wait_until_effective(uuid[]) IS
    'Waiting offboardings start when their first phase is due, at effective_at. The row of an earlier date becomes stale.';

CREATE TYPE start AS (offboarding_id uuid, started_at timestamptz, published uuid[]);
COMMENT ON TYPE start IS 'One start of an offboarding, for start_offboardings().';
COMMENT ON COLUMN start.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN start.started_at IS 'The actual start.';
COMMENT ON COLUMN start.published IS 'Jobs that the planner publishes itself.';

CREATE FUNCTION start_offboardings(starts start[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    started uuid[];
    queued job_change[];
BEGIN
    -- Whoever asks: a held one starts by approval alone, which makes it wait first.
    WITH begun AS (
        UPDATE offboarding o SET status = 'initiated', started_at = s.started_at, reason = NULL
        FROM unnest(starts) s WHERE o.id = s.offboarding_id AND o.status = 'waiting'
        RETURNING o.id)
    SELECT coalesce(array_agg(id), '{}') INTO started FROM begun;
    WITH timed AS (
        UPDATE phase p
        SET due_at = greatest(o.effective_at, o.started_at) + duration(p.after_us),
            status = CASE WHEN f.at_once THEN 'initiated' ELSE 'waiting' END,
            started_at = CASE WHEN f.at_once THEN o.started_at END
        FROM offboarding o, phase w CROSS JOIN LATERAL (SELECT (w.position = 1 OR w.beside) AND w.after_us = 0 OFFSET 0) AS f (at_once)
        WHERE o.id = ANY (started) AND p.offboarding_id = o.id AND w.offboarding_id = p.offboarding_id AND w.name = p.name
        RETURNING p.due_at, p.offboarding_id, p.name, p.status)
    INSERT INTO due (due_at, offboarding_id, phase)
    SELECT due_at, offboarding_id, name FROM timed WHERE status = 'waiting' ORDER BY due_at;
    SELECT array_agg(ROW(j.id, 'ready', NULL, 1, s.started_at, false, NULL)::job_change) INTO queued
    FROM unnest(starts) s JOIN job j ON j.offboarding_id = s.offboarding_id AND j.id = ANY (s.published)
    WHERE j.state = 'waiting' AND s.offboarding_id = ANY (started);
    PERFORM change_job_state(queued) WHERE queued IS NOT NULL;
    PERFORM settle(started);
END
$$;
COMMENT ON FUNCTION start_offboardings(start[]) IS
    'Starts offboardings that wait: times of all phases, the first phase, its jobs; those the planner publishes get no row in due. What does not wait is passed over.';

-- They stay failed, but wait for nobody.
CREATE FUNCTION give_up_failed_jobs(cancelled uuid[]) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM open_job w USING job j
    WHERE w.offboarding_id = ANY (cancelled) AND w.state = 'failed' AND j.id = w.job_id AND NOT outlives(j)
$$;
COMMENT ON FUNCTION give_up_failed_jobs(uuid[]) IS 'Failed jobs of offboardings that were cancelled are open no longer.';

CREATE FUNCTION cancel_offboardings(affected uuid[], reasons text[], duplicates uuid[] DEFAULT NULL, records uuid[] DEFAULT NULL) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    open uuid[];
    changes job_change[];
BEGIN
    WITH cancelled AS (
        UPDATE offboarding o
        SET status = CASE WHEN a.duplicate_of IS NULL THEN 'cancelled' ELSE 'duplicate' END, reason = sealed(o.id, a.reason),
            ended_at = now(), cancel_record = a.record
        FROM unnest(affected, reasons, duplicates, records) a (id, reason, duplicate_of, record)
        WHERE o.id = a.id AND o.status IN ('waiting', 'held', 'initiated')
        RETURNING o.id)
    SELECT coalesce(array_agg(id), '{}') INTO open FROM cancelled;
    UPDATE phase SET status = 'cancelled', ended_at = now()
    WHERE offboarding_id = ANY (open) AND status IN ('waiting', 'held', 'initiated');
    SELECT array_agg(ROW(j.id, 'cancelled',
                         'the offboarding was cancelled' || CASE WHEN (personal_of(j) #>> '{saved,changed}')::boolean
                                                                 THEN '; what earlier attempts of this job changed stays so' ELSE '' END,
                         NULL, NULL, false, NULL)::job_change)
    INTO changes
    FROM job j WHERE j.offboarding_id = ANY (open) AND j.follower IS NULL AND j.state IN ('waiting', 'ready');
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
    PERFORM give_up_failed_jobs(open);
    PERFORM follow(open);
    RETURN open;
END
$$;
COMMENT ON FUNCTION cancel_offboardings(uuid[], text[], uuid[], uuid[]) IS
    'Cancels what has not happened of those that are open, and returns their ids; with the offboarding that each of them repeats they become duplicates. Their rows in due become stale, but for followers: they tell of it.';

CREATE FUNCTION cancel_phases(missing uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    changes job_change[];
    over uuid[];
BEGIN
    WITH stopped AS MATERIALIZED (
        SELECT p.offboarding_id, p.name, p.beside,
               'nothing was found of this person in ' || min(coalesce(j.spec #>> '{title,system}', j.system)) AS reason
        FROM job j JOIN phase p ON p.offboarding_id = j.offboarding_id AND p.name = j.phase AND p.status = 'initiated'
        WHERE j.id = ANY (missing) AND j.spec ->> 'on_missing' = 'cancel_phase'
        GROUP BY p.offboarding_id, p.name, p.beside),
    cancelled AS (
        UPDATE phase p SET status = 'cancelled', ended_at = now()
        FROM stopped s
        WHERE p.offboarding_id = s.offboarding_id AND (p.name = s.name OR NOT s.beside) AND p.status IN ('waiting', 'held', 'initiated')
        RETURNING p.offboarding_id, p.name, s.reason),
    ended AS (
        UPDATE offboarding o SET status = 'cancelled', reason = sealed(o.id, s.reason), ended_at = now()
        FROM stopped s WHERE o.id = s.offboarding_id AND NOT s.beside AND o.status = 'initiated'
        RETURNING o.id)
    SELECT array_agg(ROW(j.id, 'cancelled', c.reason, NULL, NULL, false, NULL)::job_change),
           (SELECT array_agg(id) FROM ended)
    INTO changes, over
    FROM cancelled c JOIN job j ON j.offboarding_id = c.offboarding_id AND j.phase = c.name AND j.follower IS NULL
                             AND j.state IN ('waiting', 'ready');
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
    PERFORM give_up_failed_jobs(over) WHERE over IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cancel_phases(uuid[]) IS
    'What the jobs that found nobody cancel, where the runbook says so (`on_missing: cancel_phase`): their phase, all later ones, and with them the offboarding; of a phase that runs beside the others, that phase alone.';

-- ---- what the planner has to know ------------------------------------------------------------------------------------

CREATE FUNCTION note_for_planner() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO roster_notice (offboarding_id, kind)
    VALUES (NEW.id, CASE WHEN NEW.status IN ('completed', 'cancelled', 'duplicate') THEN 'ended' ELSE 'approved' END)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION note_for_planner() IS 'The scheduler tells the planner that an offboarding is over, or was approved.';

CREATE TRIGGER note_for_planner AFTER UPDATE OF status ON offboarding
    FOR EACH ROW WHEN (NEW.mode = 'live' AND OLD.status <> NEW.status
                       AND (NEW.status IN ('completed', 'cancelled', 'duplicate') OR OLD.status = 'held' AND NEW.approved))
    EXECUTE FUNCTION note_for_planner();
COMMENT ON TRIGGER note_for_planner ON offboarding IS 'When it is over, or approved.';

-- ---- waking the scheduler -------------------------------------------------------------------------------------------

CREATE FUNCTION notify_due() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- The logger says how long the scheduler may sleep anyway; a row beyond that needs no waking.
    IF EXISTS (SELECT FROM added WHERE due_at <= now() + coalesce(nullif(current_setting('offboard.poll', true), ''), '1s')::interval)
    THEN
        NOTIFY due;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION notify_due() IS 'Wakes the scheduler (channel due) when something is due before it would look anyway.';

CREATE TRIGGER notify_due AFTER INSERT ON due REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION notify_due();
COMMENT ON TRIGGER notify_due ON due IS 'Wakes the scheduler.';

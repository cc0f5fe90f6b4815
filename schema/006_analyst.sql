-- Views for analysts and for `offboard status`, `watch` and `events`. Column names are promises: views are extended, not changed.

CREATE SCHEMA analyst;
COMMENT ON SCHEMA analyst IS
    'What analysts read: offboardings and their progress, failures, latencies, time to revoke, the audit. Personal data are null once they are erased, and on a standby.';

-- One opening a row, and none where no column of it is asked for.
CREATE FUNCTION leaver_of(o offboarding) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN opened(o.id, o.personal)::jsonb -> 'leaver';
COMMENT ON FUNCTION leaver_of(offboarding) IS 'Whom it is about; null when that was erased.';

CREATE FUNCTION event_actor(body json) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN nullif(coalesce(body #> '{context,actor}', body #> '{value,actor}', body #> '{order,actor}')::jsonb, 'null');
COMMENT ON FUNCTION event_actor(json) IS 'Who did what this event, or this record of control, tells: kind, id, name. Null: a process of ours.';

CREATE FUNCTION body_of(e event) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(e.body, opened(e.offboarding_id, e.sealed)::json);
COMMENT ON FUNCTION body_of(event) IS 'The whole event, as it came or was sealed; null once erased.';

CREATE VIEW analyst.jobs AS
SELECT j.id AS job_id, j.offboarding_id, leaver ->> 'email' AS email, o.runbook, o.mode, j.phase, j.step, j.position, j.system,
       j.action, j.effect, j.state, j.outcome, p ->> 'reason' AS reason, j.attempt, j.due_at, j.answered_at, j.status_code, j.duration_ms,
       p -> 'verified' AS verified, j.verified_at, p -> 'outputs' AS outputs,
       ARRAY(SELECT n.step FROM job n WHERE n.id = ANY (j.needs) ORDER BY n.position) AS needs, j.run_when, j.changed_at, j.follower
FROM job j JOIN offboarding o ON o.id = j.offboarding_id
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver)
     CROSS JOIN LATERAL (SELECT opened(j.offboarding_id, j.personal)::jsonb OFFSET 0) AS y (p);
COMMENT ON VIEW analyst.jobs IS 'Every job: what, for whom, how it stands.';
COMMENT ON COLUMN analyst.jobs.job_id IS 'The job.';
COMMENT ON COLUMN analyst.jobs.offboarding_id IS 'Its offboarding.';
COMMENT ON COLUMN analyst.jobs.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.jobs.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.jobs.mode IS 'live or dry_run.';
COMMENT ON COLUMN analyst.jobs.phase IS 'Its phase.';
COMMENT ON COLUMN analyst.jobs.step IS 'Its step.';
COMMENT ON COLUMN analyst.jobs.position IS 'Place in the plan, from 1.';
COMMENT ON COLUMN analyst.jobs.system IS 'The system.';
COMMENT ON COLUMN analyst.jobs.action IS 'The connector''s action.';
COMMENT ON COLUMN analyst.jobs.effect IS 'identify, revoke, handover, destroy or notify.';
COMMENT ON COLUMN analyst.jobs.state IS 'waiting, ready, succeeded, skipped, failed or cancelled.';
COMMENT ON COLUMN analyst.jobs.outcome IS 'Last outcome a worker reported.';
COMMENT ON COLUMN analyst.jobs.reason IS 'Why it is in this state.';
COMMENT ON COLUMN analyst.jobs.attempt IS 'Number of its latest publication.';
COMMENT ON COLUMN analyst.jobs.due_at IS 'When that was or is due.';
COMMENT ON COLUMN analyst.jobs.answered_at IS 'When a worker last answered.';
COMMENT ON COLUMN analyst.jobs.status_code IS 'The vendor''s last HTTP status.';
COMMENT ON COLUMN analyst.jobs.duration_ms IS 'How long the last attempt ran.';
COMMENT ON COLUMN analyst.jobs.verified IS 'The read-back: expected, seen, at, ok.';
COMMENT ON COLUMN analyst.jobs.verified_at IS 'When the wanted state was seen.';
COMMENT ON COLUMN analyst.jobs.outputs IS 'What the action put out.';
COMMENT ON COLUMN analyst.jobs.needs IS 'Steps it waits for.';
COMMENT ON COLUMN analyst.jobs.run_when IS 'on_success, on_failure or always.';
COMMENT ON COLUMN analyst.jobs.changed_at IS 'When its row last changed.';
COMMENT ON COLUMN analyst.jobs.follower IS 'Name of the follower (mirror, notify) whose job it is: it tells of others and counts as no step; null for a step.';

CREATE VIEW analyst.followers AS
SELECT f.offboarding_id, f.name AS follower, f.kind, f.spec ->> 'system' AS system, f.spec ->> 'action' AS action, c.jobs,
       c.succeeded, c.failed, c.ready, c.last_told_at
FROM follower f
     CROSS JOIN LATERAL (
         SELECT count(*) AS jobs, count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
                count(*) FILTER (WHERE j.state = 'failed') AS failed, count(*) FILTER (WHERE j.state = 'ready') AS ready,
                max(j.answered_at) FILTER (WHERE j.state = 'succeeded') AS last_told_at
         FROM job j WHERE j.offboarding_id = f.offboarding_id AND j.follower = f.name) c;
COMMENT ON VIEW analyst.followers IS 'Who is told of results (the runbook''s mirror and notify), and how that went. Their jobs are in analyst.jobs.';
COMMENT ON COLUMN analyst.followers.offboarding_id IS 'Whose results.';
COMMENT ON COLUMN analyst.followers.follower IS 'mirror-1, on-failure-1, on-phase-end-1 and so on, in the order of the runbook.';
COMMENT ON COLUMN analyst.followers.kind IS 'mirror (every result), on_failure or on_phase_end.';
COMMENT ON COLUMN analyst.followers.system IS 'The system that tells.';
COMMENT ON COLUMN analyst.followers.action IS 'The connector''s action.';
COMMENT ON COLUMN analyst.followers.jobs IS 'Its jobs so far: each carries the results since the one before.';
COMMENT ON COLUMN analyst.followers.succeeded IS 'Those that succeeded.';
COMMENT ON COLUMN analyst.followers.failed IS 'Those that failed and wait for a person.';
COMMENT ON COLUMN analyst.followers.ready IS 'Those published or due: at most one.';
COMMENT ON COLUMN analyst.followers.last_told_at IS 'When one last succeeded.';

CREATE VIEW analyst.phases AS
SELECT p.offboarding_id, p.name AS phase, p.position, p.status, p.after, p.due_at, p.started_at, p.ended_at, c.jobs, c.ended,
       c.succeeded, c.skipped, c.failed, c.cancelled, c.ready, c.waiting
FROM phase p
     CROSS JOIN LATERAL (
         SELECT count(*) AS jobs, count(*) FILTER (WHERE j.state IN ('succeeded', 'skipped', 'cancelled')) AS ended,
                count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
                count(*) FILTER (WHERE j.state = 'skipped') AS skipped,
                count(*) FILTER (WHERE j.state = 'failed') AS failed,
                count(*) FILTER (WHERE j.state = 'cancelled') AS cancelled,
                count(*) FILTER (WHERE j.state = 'ready') AS ready,
                count(*) FILTER (WHERE j.state = 'waiting') AS waiting
         FROM job j WHERE j.offboarding_id = p.offboarding_id AND j.phase = p.name AND j.follower IS NULL) c;
COMMENT ON VIEW analyst.phases IS 'Every phase with the counts of its jobs.';
COMMENT ON COLUMN analyst.phases.offboarding_id IS 'Its offboarding.';
COMMENT ON COLUMN analyst.phases.phase IS 'Its name.';
COMMENT ON COLUMN analyst.phases.position IS 'Place in the runbook, from 1.';
COMMENT ON COLUMN analyst.phases.status IS 'waiting, held, initiated, completed or cancelled.';
COMMENT ON COLUMN analyst.phases.after IS 'As the runbook has it; null: at once.';
COMMENT ON COLUMN analyst.phases.due_at IS 'When its time comes.';
COMMENT ON COLUMN analyst.phases.started_at IS 'When it was initiated.';
COMMENT ON COLUMN analyst.phases.ended_at IS 'When it was completed or cancelled.';
COMMENT ON COLUMN analyst.phases.jobs IS 'Its jobs, but for followers: those that only tell of others (mirror, notify).';
COMMENT ON COLUMN analyst.phases.ended IS 'Those that succeeded, were skipped or cancelled.';
COMMENT ON COLUMN analyst.phases.succeeded IS 'Those that succeeded.';
COMMENT ON COLUMN analyst.phases.skipped IS 'Those skipped.';
COMMENT ON COLUMN analyst.phases.failed IS 'Those failed.';
COMMENT ON COLUMN analyst.phases.cancelled IS 'Those cancelled.';
COMMENT ON COLUMN analyst.phases.ready IS 'Those published or due.';
COMMENT ON COLUMN analyst.phases.waiting IS 'Those waiting.';

CREATE VIEW analyst.offboardings AS
SELECT o.id AS offboarding_id, p #>> '{leaver,email}' AS email, p #>> '{leaver,employee_id}' AS employee_id,
       p #>> '{leaver,name}' AS name, o.status, opened(o.id, o.reason) AS reason, o.runbook, o.source, o.mode, o.priority, o.zone, o.received_at,
       o.effective_at, o.started_at, o.ended_at, o.actor ->> 'name' AS started_by,
       (SELECT p.name FROM phase p WHERE p.offboarding_id = o.id AND p.status IN ('initiated', 'held')
        ORDER BY p.position LIMIT 1) AS phase,
       c.jobs, c.ended, c.succeeded, c.failed, round(100.0 * c.ended / greatest(c.jobs, 1))::integer AS percent,
       least(CASE WHEN o.status IN ('waiting', 'initiated') THEN
                 (SELECT min(p.due_at) FROM phase p WHERE p.offboarding_id = o.id AND p.status = 'waiting') END,
             c.next_due_at) AS next_due_at,
       p -> 'ids' AS ids, o.recorded_at, split_part(o.traceparent, '-', 2) AS trace_id,
       o.erase_ordered_at, o.erased_at,
       (SELECT coalesce(a.actor ->> 'name', a.actor ->> 'id')
        FROM event e CROSS JOIN LATERAL (SELECT event_actor(body_of(e)) OFFSET 0) AS a (actor)
        WHERE e.id = o.cancel_record AND e.name = 'control.cancel' LIMIT 1) AS cancelled_by
FROM offboarding o
     CROSS JOIN LATERAL (SELECT opened(o.id, o.personal)::jsonb OFFSET 0) AS x (p)
     CROSS JOIN LATERAL (
         SELECT count(*) AS jobs, count(*) FILTER (WHERE j.state IN ('succeeded', 'skipped', 'cancelled')) AS ended,
                count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
                count(*) FILTER (WHERE j.state = 'failed') AS failed,
                min(j.due_at) FILTER (WHERE j.state = 'ready' AND j.due_at > now()) AS next_due_at
         FROM job j WHERE j.offboarding_id = o.id AND j.follower IS NULL) c;
COMMENT ON VIEW analyst.offboardings IS 'Every offboarding with its progress.';
COMMENT ON COLUMN analyst.offboardings.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.offboardings.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.offboardings.employee_id IS 'The leaver''s employee id.';
COMMENT ON COLUMN analyst.offboardings.name IS 'The leaver''s name.';
COMMENT ON COLUMN analyst.offboardings.status IS 'waiting, held, initiated, completed, cancelled or duplicate.';
COMMENT ON COLUMN analyst.offboardings.reason IS 'Why it is held or was cancelled.';
COMMENT ON COLUMN analyst.offboardings.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.offboardings.source IS 'Its source.';
COMMENT ON COLUMN analyst.offboardings.mode IS 'live or dry_run.';
COMMENT ON COLUMN analyst.offboardings.priority IS 'normal or urgent.';
COMMENT ON COLUMN analyst.offboardings.zone IS 'The leaver''s time zone.';
COMMENT ON COLUMN analyst.offboardings.received_at IS 'When the HR event reached us.';
COMMENT ON COLUMN analyst.offboardings.effective_at IS 'When access ends, as HR said.';
COMMENT ON COLUMN analyst.offboardings.started_at IS 'When it really started.';
COMMENT ON COLUMN analyst.offboardings.ended_at IS 'When it was completed or cancelled.';
COMMENT ON COLUMN analyst.offboardings.cancelled_by IS 'Who cancelled it; null: nobody, or a process of ours, or it was erased.';
COMMENT ON COLUMN analyst.offboardings.started_by IS 'Who started it.';
COMMENT ON COLUMN analyst.offboardings.phase IS 'The earliest phase that runs or is held.';
COMMENT ON COLUMN analyst.offboardings.jobs IS 'Its jobs, but for followers: those that only tell of others (mirror, notify).';
COMMENT ON COLUMN analyst.offboardings.ended IS 'Those that succeeded, were skipped or cancelled.';
COMMENT ON COLUMN analyst.offboardings.succeeded IS 'Those that succeeded.';
COMMENT ON COLUMN analyst.offboardings.failed IS 'Those that failed and wait for a person.';
COMMENT ON COLUMN analyst.offboardings.percent IS 'Part of the jobs that have ended.';
COMMENT ON COLUMN analyst.offboardings.next_due_at IS 'When something happens next by itself.';
COMMENT ON COLUMN analyst.offboardings.ids IS 'Accounts by system.';
COMMENT ON COLUMN analyst.offboardings.recorded_at IS 'When the logger first wrote it.';
COMMENT ON COLUMN analyst.offboardings.erase_ordered_at IS 'When its erasure was last ordered; null: it was not.';
COMMENT ON COLUMN analyst.offboardings.erased_at IS 'When its personal data were erased; null while they are there.';
COMMENT ON COLUMN analyst.offboardings.trace_id IS 'Its W3C trace: in every log line about it, and sent to the vendors.';

CREATE VIEW analyst.held_offboardings AS
SELECT o.id AS offboarding_id, leaver ->> 'email' AS email, leaver ->> 'name' AS name, o.runbook, o.mode,
       opened(o.id, o.reason) AS reason, o.received_at, o.effective_at, now() - o.received_at AS held_for
FROM offboarding o CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver) WHERE o.status = 'held';
COMMENT ON VIEW analyst.held_offboardings IS 'Offboardings that wait for `offboard approve`.';
COMMENT ON COLUMN analyst.held_offboardings.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.held_offboardings.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.held_offboardings.name IS 'The leaver''s name.';
COMMENT ON COLUMN analyst.held_offboardings.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.held_offboardings.mode IS 'live or dry_run.';
COMMENT ON COLUMN analyst.held_offboardings.reason IS 'Why it is held.';
COMMENT ON COLUMN analyst.held_offboardings.received_at IS 'When the HR event reached us.';
COMMENT ON COLUMN analyst.held_offboardings.effective_at IS 'When access should end.';
COMMENT ON COLUMN analyst.held_offboardings.held_for IS 'How long it is held.';

CREATE VIEW analyst.open_items AS
SELECT i.offboarding_id, leaver ->> 'email' AS email, o.runbook, j.step, i.system, i.kind, i.item, i.why, i.opened_at, i.closed_at, i.closed_by
FROM open_item i JOIN offboarding o ON o.id = i.offboarding_id JOIN job j ON j.id = i.job_id
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver);
COMMENT ON VIEW analyst.open_items IS
    'What steps left in place on purpose: an offboarding is completed when a later step, or a person (`offboard skip`), has resolved each.';
COMMENT ON COLUMN analyst.open_items.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.open_items.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.open_items.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.open_items.step IS 'The step that left it.';
COMMENT ON COLUMN analyst.open_items.system IS 'The system.';
COMMENT ON COLUMN analyst.open_items.kind IS 'What kind of thing it is.';
COMMENT ON COLUMN analyst.open_items.item IS 'What it is.';
COMMENT ON COLUMN analyst.open_items.why IS 'Why it was left.';
COMMENT ON COLUMN analyst.open_items.opened_at IS 'When that was recorded.';
COMMENT ON COLUMN analyst.open_items.closed_at IS 'When it was resolved; null while it is open.';
COMMENT ON COLUMN analyst.open_items.closed_by IS 'The step, or the person, that resolved it.';

CREATE VIEW analyst.open_failures AS
SELECT j.offboarding_id, j.id AS job_id, leaver ->> 'email' AS email, o.runbook, o.mode, j.phase, j.step, j.system, j.action,
       j.effect, j.outcome, j.status_code, p ->> 'reason' AS reason, j.attempt, j.answered_at AS failed_at,
       (SELECT count(*) FROM job d WHERE d.offboarding_id = j.offboarding_id AND d.state = 'waiting' AND j.id = ANY (d.needs))
           AS waiting_jobs
FROM open_job w JOIN job j ON j.id = w.job_id JOIN offboarding o ON o.id = w.offboarding_id
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver)
     CROSS JOIN LATERAL (SELECT opened(j.offboarding_id, j.personal)::jsonb OFFSET 0) AS y (p)
WHERE w.state = 'failed' AND (o.status = 'initiated' OR outlives(j));
COMMENT ON VIEW analyst.open_failures IS
    'Failed, blocked and denied jobs of running offboardings, and those that undo: a person must retry or skip them.';
COMMENT ON COLUMN analyst.open_failures.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.open_failures.job_id IS 'The job.';
COMMENT ON COLUMN analyst.open_failures.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.open_failures.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.open_failures.mode IS 'live or dry_run.';
COMMENT ON COLUMN analyst.open_failures.phase IS 'Its phase.';
COMMENT ON COLUMN analyst.open_failures.step IS 'Its step.';
COMMENT ON COLUMN analyst.open_failures.system IS 'The system.';
COMMENT ON COLUMN analyst.open_failures.action IS 'The action.';
COMMENT ON COLUMN analyst.open_failures.effect IS 'revoke: access may still be there.';
COMMENT ON COLUMN analyst.open_failures.outcome IS 'failed, blocked or denied.';
COMMENT ON COLUMN analyst.open_failures.status_code IS 'The vendor''s last HTTP status.';
COMMENT ON COLUMN analyst.open_failures.reason IS 'What happened.';
COMMENT ON COLUMN analyst.open_failures.attempt IS 'The attempt that failed.';
COMMENT ON COLUMN analyst.open_failures.failed_at IS 'When.';
COMMENT ON COLUMN analyst.open_failures.waiting_jobs IS 'Jobs that wait for this one.';

CREATE VIEW analyst.system_results AS
SELECT day_of(o.received_at) AS day, j.system, j.action, o.mode, count(*) AS answered,
       count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
       count(*) FILTER (WHERE j.state = 'skipped') AS skipped,
       count(*) FILTER (WHERE j.state = 'failed') AS failed,
       count(*) FILTER (WHERE j.state = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE j.state = 'ready') AS deferred,
       sum(j.attempt) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY j.duration_ms) AS duration_ms_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY j.duration_ms) AS duration_ms_p95,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY j.answered_at - j.due_at) FILTER (WHERE j.state <> 'ready') AS latency_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY j.answered_at - j.due_at) FILTER (WHERE j.state <> 'ready') AS latency_p95,
       max(j.answered_at) AS last_answer_at
FROM job j JOIN offboarding o ON o.id = j.offboarding_id
WHERE j.answered_at IS NOT NULL
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW analyst.system_results IS
    'Results and latencies of every action of every system, over all jobs that a worker answered, by the day the leaver''s offboarding came in. Ask for days: WHERE day >= current_date - 30.';
COMMENT ON COLUMN analyst.system_results.day IS 'Day (UTC) the offboardings came in.';
COMMENT ON COLUMN analyst.system_results.system IS 'The system.';
COMMENT ON COLUMN analyst.system_results.action IS 'The action.';
COMMENT ON COLUMN analyst.system_results.mode IS 'live or dry_run.';
COMMENT ON COLUMN analyst.system_results.answered IS 'Jobs that a worker answered at least once.';
COMMENT ON COLUMN analyst.system_results.succeeded IS 'Those that succeeded.';
COMMENT ON COLUMN analyst.system_results.skipped IS 'Those skipped.';
COMMENT ON COLUMN analyst.system_results.failed IS 'Those that failed and were not retried yet.';
COMMENT ON COLUMN analyst.system_results.cancelled IS 'Those cancelled.';
COMMENT ON COLUMN analyst.system_results.deferred IS 'Those put off, to be published again.';
COMMENT ON COLUMN analyst.system_results.attempts IS 'Publications of all of them.';
COMMENT ON COLUMN analyst.system_results.duration_ms_p50 IS 'Median run time of the last attempt.';
COMMENT ON COLUMN analyst.system_results.duration_ms_p95 IS '95th percentile of it.';
COMMENT ON COLUMN analyst.system_results.latency_p50 IS 'Median time from due to answered, of the last attempt.';
COMMENT ON COLUMN analyst.system_results.latency_p95 IS '95th percentile of it.';
COMMENT ON COLUMN analyst.system_results.last_answer_at IS 'Last answer of a worker.';

CREATE VIEW analyst.time_to_revoke AS
SELECT day_of(o.received_at) AS day, j.offboarding_id, leaver ->> 'email' AS email, o.runbook, j.id AS job_id, j.system, j.action, j.state,
       o.event_at, o.received_at, o.effective_at, o.started_at, j.verified_at, g.gone_at,
       g.gone_at - coalesce(o.event_at, o.received_at) AS from_event,
       g.gone_at - o.received_at AS from_received,
       g.gone_at - o.effective_at AS from_effective
FROM job j JOIN offboarding o ON o.id = j.offboarding_id
     JOIN phase p ON p.offboarding_id = j.offboarding_id AND p.name = j.phase
     CROSS JOIN LATERAL (SELECT coalesce(j.verified_at, CASE WHEN j.state = 'succeeded' THEN j.answered_at END) OFFSET 0) AS g (gone_at)
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver)
WHERE j.effect = 'revoke' AND o.mode = 'live' AND NOT j.spec ?| '{only_verify,undo_of}'
  AND (p.ends_access OR NOT EXISTS (SELECT FROM phase a WHERE a.offboarding_id = j.offboarding_id AND a.ends_access));
COMMENT ON VIEW analyst.time_to_revoke IS
    'Every revoking job of live offboardings, in the phases that end access where the runbook names some: how long until access was gone. Times are null while it is not.';
COMMENT ON COLUMN analyst.time_to_revoke.day IS 'Day (UTC) the offboarding came in.';
COMMENT ON COLUMN analyst.time_to_revoke.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.time_to_revoke.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.time_to_revoke.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.time_to_revoke.job_id IS 'The job.';
COMMENT ON COLUMN analyst.time_to_revoke.system IS 'The system.';
COMMENT ON COLUMN analyst.time_to_revoke.action IS 'The action.';
COMMENT ON COLUMN analyst.time_to_revoke.state IS 'The job''s state.';
COMMENT ON COLUMN analyst.time_to_revoke.event_at IS 'The HR event''s own time.';
COMMENT ON COLUMN analyst.time_to_revoke.received_at IS 'When the HR event reached us.';
COMMENT ON COLUMN analyst.time_to_revoke.effective_at IS 'When access should have ended.';
COMMENT ON COLUMN analyst.time_to_revoke.started_at IS 'When the offboarding started.';
COMMENT ON COLUMN analyst.time_to_revoke.verified_at IS 'When the read-back saw access gone; null: not yet, or it can''t be read back (a password, a session).';
COMMENT ON COLUMN analyst.time_to_revoke.gone_at IS 'When access was gone: the read-back saw it, or, where nothing can be read back, the vendor said so.';
COMMENT ON COLUMN analyst.time_to_revoke.from_event IS 'From the HR event''s time (else its arrival) until then.';
COMMENT ON COLUMN analyst.time_to_revoke.from_received IS 'From the HR event''s arrival until then.';
COMMENT ON COLUMN analyst.time_to_revoke.from_effective IS 'From effective_at until then.';

CREATE VIEW analyst.time_to_revoke_by_offboarding AS
SELECT day, offboarding_id, email, runbook, event_at, received_at, effective_at,
       count(*) FILTER (WHERE state <> 'skipped') AS revocations, count(gone_at) AS gone, count(verified_at) AS verified,
       count(*) FILTER (WHERE state = 'skipped') AS skipped,
       CASE WHEN bool_and(gone_at IS NOT NULL OR state = 'skipped') THEN max(gone_at) END AS revoked_at,
       CASE WHEN bool_and(gone_at IS NOT NULL OR state = 'skipped') THEN max(from_event) END AS from_event,
       CASE WHEN bool_and(gone_at IS NOT NULL OR state = 'skipped') THEN max(from_received) END AS from_received,
       CASE WHEN bool_and(gone_at IS NOT NULL OR state = 'skipped') THEN max(from_effective) END AS from_effective
FROM analyst.time_to_revoke
GROUP BY day, offboarding_id, email, runbook, event_at, received_at, effective_at;
COMMENT ON VIEW analyst.time_to_revoke_by_offboarding IS
    'Every live offboarding: how long until all access was gone. Null while any is left.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.day IS 'Day (UTC) it came in.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.runbook IS 'Its runbook.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.event_at IS 'The HR event''s own time.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.received_at IS 'When the HR event reached us.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.effective_at IS 'When access should have ended.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.revocations IS 'Its revoking jobs, but for those that were skipped.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.gone IS 'Those whose access is gone.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.verified IS 'Of these, those whose read-back saw it; the others can''t be read back.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.skipped IS 'Revoking jobs that were skipped: there was nothing to revoke, the system is not set up, or a person said so.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.revoked_at IS 'When the last access was gone.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.from_event IS 'From the HR event''s time (else its arrival) until then.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.from_received IS 'From the HR event''s arrival until then.';
COMMENT ON COLUMN analyst.time_to_revoke_by_offboarding.from_effective IS 'From effective_at until then.';

CREATE VIEW analyst.time_to_revoke_by_system AS
SELECT day, system, count(*) AS revocations, count(verified_at) AS verified,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY from_event) AS from_event_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY from_event) AS from_event_p95,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY from_effective) AS from_effective_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY from_effective) AS from_effective_p95,
       max(from_effective) AS from_effective_max,
       count(*) FILTER (WHERE gone_at IS NULL AND state NOT IN ('skipped', 'cancelled')) AS pending,
       max(now() - effective_at) FILTER (WHERE gone_at IS NULL AND state NOT IN ('skipped', 'cancelled')) AS pending_longest
FROM analyst.time_to_revoke
GROUP BY day, system;
COMMENT ON VIEW analyst.time_to_revoke_by_system IS
    'How long every system takes until access is gone, by the day the offboardings came in. The percentiles are those of what is gone; look at pending, too. Ask for days: WHERE day >= current_date - 30.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.day IS 'Day (UTC) the offboardings came in.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.system IS 'The system.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.revocations IS 'Its revoking jobs.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.verified IS 'Those whose read-back saw access gone.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.from_event_p50 IS 'Median from the HR event''s time.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.from_event_p95 IS '95th percentile of it.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.from_effective_p50 IS 'Median from effective_at.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.from_effective_p95 IS '95th percentile of it.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.from_effective_max IS 'The longest.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.pending IS 'Revoking jobs that are neither done nor skipped nor cancelled: access may still be there.';
COMMENT ON COLUMN analyst.time_to_revoke_by_system.pending_longest IS 'How long past effective_at the oldest of them is; negative: its time lies ahead.';

CREATE VIEW analyst.stuck_jobs AS
SELECT j.id AS job_id, j.offboarding_id, leaver ->> 'email' AS email, j.phase, j.step, j.system, j.action, j.effect, j.attempt,
       j.due_at, now() - j.due_at AS overdue,
       EXISTS (SELECT FROM due d WHERE d.due_at = j.due_at AND d.job_id = j.id) AS unpublished,
       s.reason AS paused
FROM open_job w JOIN job j ON j.id = w.job_id JOIN offboarding o ON o.id = w.offboarding_id
     LEFT JOIN system_pause s ON s.system = j.system
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver)
WHERE w.state = 'ready' AND w.due_at < now() - interval '15 minutes' AND (o.status = 'initiated' OR outlives(j));
COMMENT ON VIEW analyst.stuck_jobs IS 'Jobs a quarter of an hour past their time without an answer.';
COMMENT ON COLUMN analyst.stuck_jobs.job_id IS 'The job.';
COMMENT ON COLUMN analyst.stuck_jobs.offboarding_id IS 'Its offboarding.';
COMMENT ON COLUMN analyst.stuck_jobs.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.stuck_jobs.phase IS 'Its phase.';
COMMENT ON COLUMN analyst.stuck_jobs.step IS 'Its step.';
COMMENT ON COLUMN analyst.stuck_jobs.system IS 'The system.';
COMMENT ON COLUMN analyst.stuck_jobs.action IS 'The action.';
COMMENT ON COLUMN analyst.stuck_jobs.effect IS 'revoke: access may still be there.';
COMMENT ON COLUMN analyst.stuck_jobs.attempt IS 'Number of its publication.';
COMMENT ON COLUMN analyst.stuck_jobs.due_at IS 'When it was due.';
COMMENT ON COLUMN analyst.stuck_jobs.overdue IS 'How long ago that is.';
COMMENT ON COLUMN analyst.stuck_jobs.unpublished IS 'True: the scheduler has not published it; false: no worker answered.';
COMMENT ON COLUMN analyst.stuck_jobs.paused IS 'Why its system is paused; null when it is not, or without a reason.';

CREATE VIEW analyst.intake AS
SELECT i.id AS intake_id, i.received_at, i.source, i.source_event_id, i.type, i.event_time, coalesce(i.person, p ->> 'person') AS person,
       i.disposition, coalesce(i.reason, p ->> 'reason') AS reason, coalesce(i.criterion, nullif(p -> 'criterion', 'null')) AS criterion,
       i.offboarding_id, i.topic, i.kafka_partition, i.kafka_offset, i.recorded_at
FROM intake i CROSS JOIN LATERAL (SELECT opened(i.offboarding_id, i.personal)::jsonb OFFSET 0) AS x (p);
COMMENT ON VIEW analyst.intake IS 'Every HR event and what became of it.';
COMMENT ON COLUMN analyst.intake.intake_id IS 'Id of the intake event.';
COMMENT ON COLUMN analyst.intake.received_at IS 'When it reached us.';
COMMENT ON COLUMN analyst.intake.source IS 'The CloudEvent''s source.';
COMMENT ON COLUMN analyst.intake.source_event_id IS 'The CloudEvent''s id.';
COMMENT ON COLUMN analyst.intake.type IS 'The CloudEvent''s type.';
COMMENT ON COLUMN analyst.intake.event_time IS 'The CloudEvent''s time.';
COMMENT ON COLUMN analyst.intake.person IS 'E-mail, else employee id.';
COMMENT ON COLUMN analyst.intake.disposition IS 'started, held, waiting, moved, cancelled, refused, duplicate, ignored or dead.';
COMMENT ON COLUMN analyst.intake.reason IS 'Why.';
COMMENT ON COLUMN analyst.intake.criterion IS 'Of ignored ones: the criterion, and what it saw.';
COMMENT ON COLUMN analyst.intake.offboarding_id IS 'The offboarding concerned.';
COMMENT ON COLUMN analyst.intake.topic IS 'Kafka topic.';
COMMENT ON COLUMN analyst.intake.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN analyst.intake.kafka_offset IS 'Kafka offset.';
COMMENT ON COLUMN analyst.intake.recorded_at IS 'When the logger wrote it.';

CREATE VIEW analyst.intake_summary AS
SELECT day_of(i.received_at) AS day, i.source, i.type, count(*) AS events,
       count(*) FILTER (WHERE i.disposition = 'started') AS started,
       count(*) FILTER (WHERE i.disposition = 'held') AS held,
       count(*) FILTER (WHERE i.disposition = 'waiting') AS waiting,
       count(*) FILTER (WHERE i.disposition = 'moved') AS moved,
       count(*) FILTER (WHERE i.disposition = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE i.disposition = 'refused') AS refused,
       count(*) FILTER (WHERE i.disposition = 'duplicate') AS duplicate,
       count(*) FILTER (WHERE i.disposition = 'ignored') AS ignored,
       count(*) FILTER (WHERE i.disposition = 'dead') AS dead
FROM intake i
GROUP BY 1, 2, 3;
COMMENT ON VIEW analyst.intake_summary IS 'How many HR events came, and what became of each; by day, source and type.';
COMMENT ON COLUMN analyst.intake_summary.day IS 'Day (UTC) they came.';
COMMENT ON COLUMN analyst.intake_summary.source IS 'The CloudEvents'' source.';
COMMENT ON COLUMN analyst.intake_summary.type IS 'The CloudEvents'' type.';
COMMENT ON COLUMN analyst.intake_summary.events IS 'How many came.';
COMMENT ON COLUMN analyst.intake_summary.started IS 'Started an offboarding at once.';
COMMENT ON COLUMN analyst.intake_summary.held IS 'Made one that is held until approved.';
COMMENT ON COLUMN analyst.intake_summary.waiting IS 'Made one that waits for its date.';
COMMENT ON COLUMN analyst.intake_summary.moved IS 'Moved one that had not begun.';
COMMENT ON COLUMN analyst.intake_summary.cancelled IS 'Cancelled offboardings.';
COMMENT ON COLUMN analyst.intake_summary.refused IS 'Were refused: a protected person.';
COMMENT ON COLUMN analyst.intake_summary.duplicate IS 'Changed nothing: the same leaver again.';
COMMENT ON COLUMN analyst.intake_summary.ignored IS 'Met no criteria.';
COMMENT ON COLUMN analyst.intake_summary.dead IS 'Could not be understood.';

CREATE VIEW analyst.timeline AS
SELECT e.about AS offboarding_id, e.occurred_at, e.name, e.phase, e.step, e.system, e.action, e.attempt, e.outcome, e.status_code,
       coalesce(x.actor ->> 'name', x.actor ->> 'id') AS actor,
       b.body #>> '{response,message}' AS message,
       CASE WHEN e.note LIKE 'early: %'
            THEN (SELECT CASE WHEN r.applied_at IS NULL THEN e.note ELSE r.note END FROM early_result r
                  WHERE r.topic = e.topic AND r.kafka_partition = e.kafka_partition AND r.kafka_offset = e.kafka_offset)
            ELSE e.note END AS note, (b.body #> '{context,verified}')::jsonb AS verified,
       (b.body #> '{context,calls}')::jsonb AS calls, e.recorded_at, e.id AS event_id, e.job_id, e.topic, e.kafka_partition,
       e.kafka_offset, b.body #>> '{context,trace_id}' AS trace_id, b.body
FROM (SELECT e.offboarding_id AS about, e.* FROM event e WHERE e.offboarding_id IS NOT NULL
      UNION ALL -- who cancels a person names no offboarding
      SELECT o.id, e.* FROM offboarding o JOIN event e ON e.id = o.cancel_record AND e.name = 'control.cancel' AND e.offboarding_id IS NULL) e
     CROSS JOIN LATERAL (SELECT coalesce(e.body, opened(e.offboarding_id, e.sealed)::json) OFFSET 0) AS b (body)
     CROSS JOIN LATERAL (SELECT event_actor(b.body) OFFSET 0) AS x (actor);
COMMENT ON VIEW analyst.timeline IS 'What happened in every offboarding; order by occurred_at.';
COMMENT ON COLUMN analyst.timeline.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.timeline.occurred_at IS 'When it happened.';
COMMENT ON COLUMN analyst.timeline.name IS 'What happened, as in messages.md.';
COMMENT ON COLUMN analyst.timeline.phase IS 'The phase concerned.';
COMMENT ON COLUMN analyst.timeline.step IS 'The step concerned.';
COMMENT ON COLUMN analyst.timeline.system IS 'The system concerned.';
COMMENT ON COLUMN analyst.timeline.action IS 'The action concerned.';
COMMENT ON COLUMN analyst.timeline.attempt IS 'The attempt of the job.';
COMMENT ON COLUMN analyst.timeline.outcome IS 'Its outcome.';
COMMENT ON COLUMN analyst.timeline.status_code IS 'The vendor''s last HTTP status.';
COMMENT ON COLUMN analyst.timeline.actor IS 'Who did it: a person, a token or the HR system; null: a process of ours.';
COMMENT ON COLUMN analyst.timeline.message IS 'What happened, in one sentence.';
COMMENT ON COLUMN analyst.timeline.note IS 'What the logger made of it when it changed nothing.';
COMMENT ON COLUMN analyst.timeline.verified IS 'The read-back: expected, seen, at, ok.';
COMMENT ON COLUMN analyst.timeline.calls IS 'The calls made, without secrets.';
COMMENT ON COLUMN analyst.timeline.recorded_at IS 'When the logger wrote it.';
COMMENT ON COLUMN analyst.timeline.event_id IS 'The event''s id.';
COMMENT ON COLUMN analyst.timeline.job_id IS 'The job concerned.';
COMMENT ON COLUMN analyst.timeline.topic IS 'Kafka topic.';
COMMENT ON COLUMN analyst.timeline.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN analyst.timeline.kafka_offset IS 'Kafka offset.';
COMMENT ON COLUMN analyst.timeline.trace_id IS 'Its W3C trace; the calls have span ids of it.';
COMMENT ON COLUMN analyst.timeline.body IS 'The whole event, byte for byte as Kafka has it; null once erased.';

CREATE VIEW analyst.violations AS
SELECT e.recorded_at, e.topic, e.kafka_partition, e.kafka_offset, b.body ->> 'name' AS said, e.system, e.offboarding_id, e.note AS why, b.body
FROM event e CROSS JOIN LATERAL (SELECT body_of(e) OFFSET 0) AS b (body)
WHERE e.name = 'violation' OR e.note LIKE 'not believed: %';
COMMENT ON VIEW analyst.violations IS 'What was said by a process that has no right to say it: it was recorded, and changed nothing.';
COMMENT ON COLUMN analyst.violations.recorded_at IS 'When the logger recorded it.';
COMMENT ON COLUMN analyst.violations.topic IS 'The topic that it came on: who may write that is under suspicion.';
COMMENT ON COLUMN analyst.violations.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN analyst.violations.kafka_offset IS 'Kafka offset.';
COMMENT ON COLUMN analyst.violations.said IS 'Name of the event.';
COMMENT ON COLUMN analyst.violations.system IS 'The system that it speaks of.';
COMMENT ON COLUMN analyst.violations.offboarding_id IS 'The offboarding that it speaks of.';
COMMENT ON COLUMN analyst.violations.why IS 'Why it is not believed.';
COMMENT ON COLUMN analyst.violations.body IS 'The event.';

CREATE VIEW analyst.orders AS
SELECT e.id AS order_id, e.occurred_at AS ordered_at,
       CASE e.name WHEN 'dead.replayed' THEN 'replay' WHEN 'secret.revealed' THEN 'reveal'
                   ELSE split_part(e.name, '.', 2) END AS "order",
       CASE WHEN e.name = 'dead.replayed' THEN (SELECT string_agg(p.value, '/' ORDER BY p.n)
                FROM (VALUES (1, b.body #>> '{context,record,topic}'), (2, b.body #>> '{context,record,partition}'),
                             (3, b.body #>> '{context,record,offset}')) p (n, value))
            WHEN e.name LIKE 'control.%' THEN substr(b.body ->> 'key', strpos(b.body ->> 'key', '/') + 1)
            WHEN e.offboarding_id IS NULL THEN b.body #>> '{context,person_digest}'
            ELSE e.offboarding_id::text END AS subject,
       coalesce(b.body #>> '{context,step}', b.body #>> '{context,job_id}') AS step,
       coalesce(x.actor ->> 'name', x.actor ->> 'id') AS ordered_by, x.actor,
       coalesce(b.body #>> '{context,reason}', b.body #>> '{value,reason}', b.body #>> '{order,reason}') AS reason,
       CASE WHEN n.note LIKE 'refused: %' THEN 'refused' WHEN n.note LIKE 'unchanged: %' THEN 'unchanged' ELSE 'applied' END AS result,
       nullif(regexp_replace(n.note, '^(refused|unchanged): ', ''), '') AS why, e.recorded_at
FROM event e
     CROSS JOIN LATERAL (SELECT body_of(e) OFFSET 0) AS b (body)
     CROSS JOIN LATERAL (SELECT event_actor(b.body) OFFSET 0) AS x (actor)
     CROSS JOIN LATERAL (SELECT CASE WHEN e.name = 'control.cancel' AND e.note LIKE 'refused: %'
                                          AND EXISTS (SELECT FROM offboarding o WHERE o.cancel_record = e.id)
                                     THEN NULL ELSE e.note END OFFSET 0) AS n (note) -- it was recorded later, and cancelled then
WHERE is_order(e.name) AND e.note IS DISTINCT FROM 'repeated: the first one counts';
COMMENT ON VIEW analyst.orders IS
    'Every order of a person, of the HR system or of a worker, and what became of it: approve, retry, skip, undo, erase, cancel, uncancel, pause, resume, replay, reveal.';
COMMENT ON COLUMN analyst.orders.order_id IS 'The order; the HTTP API and `offboard` answer with it.';
COMMENT ON COLUMN analyst.orders.ordered_at IS 'When it was given.';
COMMENT ON COLUMN analyst.orders."order" IS 'What was ordered.';
COMMENT ON COLUMN analyst.orders.subject IS
    'What it is about: an offboarding, a person (e-mail or employee id; of an erasure a digest), a system, or the Kafka record that was replayed (topic/partition/offset).';
COMMENT ON COLUMN analyst.orders.step IS 'The step or job it is about; null: all.';
COMMENT ON COLUMN analyst.orders.ordered_by IS 'Who gave it.';
COMMENT ON COLUMN analyst.orders.actor IS 'Who gave it, in full: kind, id, name.';
COMMENT ON COLUMN analyst.orders.reason IS 'Why, as they said.';
COMMENT ON COLUMN analyst.orders.result IS 'applied, unchanged (there was nothing left to do) or refused (nothing was changed).';
COMMENT ON COLUMN analyst.orders.why IS 'Why it was refused, or changed nothing.';
COMMENT ON COLUMN analyst.orders.recorded_at IS 'When the logger applied or refused it.';

CREATE VIEW analyst.signals AS
SELECT s.id AS signal_id, s.received_at, s.name AS signal, s.key, s.source, coalesce(s.actor ->> 'name', s.actor ->> 'id') AS sent_by,
       s.actor, coalesce(s.data ->> 'reason', s.data ->> 'evidence') AS reason, s.data, j.offboarding_id, leaver ->> 'email' AS email,
       j.id AS job_id, j.step, j.system,
       CASE WHEN j.id IS NULL THEN 'no job waits for it'
            WHEN j.state <> 'ready' THEN 'the job is ' || j.state
            WHEN opened(j.offboarding_id, j.personal)::jsonb #> '{saved,heard}' ? s.id::text THEN 'the job has read it and waits on'
            ELSE 'the job has not read it yet' END AS result
FROM signal s
     LEFT JOIN awaited a ON a.signal = s.name AND a.key = s.key
     LEFT JOIN job j ON j.id = a.job_id
     LEFT JOIN offboarding o ON o.id = j.offboarding_id
     CROSS JOIN LATERAL (SELECT leaver_of(o) OFFSET 0) AS x (leaver);
COMMENT ON VIEW analyst.signals IS
    'What came in from outside (a parcel was delivered, a person has done a task), who sent it, and what became of it. A signal that several jobs wait for has a row for each.';
COMMENT ON COLUMN analyst.signals.signal_id IS 'The signal.';
COMMENT ON COLUMN analyst.signals.received_at IS 'When it reached us.';
COMMENT ON COLUMN analyst.signals.signal IS 'What kind: the connector''s `wait.signal`.';
COMMENT ON COLUMN analyst.signals.key IS 'About what: the connector''s `wait.key`, such as a tracking number.';
COMMENT ON COLUMN analyst.signals.source IS 'The source that took it in.';
COMMENT ON COLUMN analyst.signals.sent_by IS 'Who sent it.';
COMMENT ON COLUMN analyst.signals.actor IS 'Who sent it, in full: kind, id, name.';
COMMENT ON COLUMN analyst.signals.reason IS 'Why, or what shows it, as they said.';
COMMENT ON COLUMN analyst.signals.data IS 'All that the source maps of it.';
COMMENT ON COLUMN analyst.signals.offboarding_id IS 'The offboarding whose job waits for it.';
COMMENT ON COLUMN analyst.signals.email IS 'The leaver''s e-mail.';
COMMENT ON COLUMN analyst.signals.job_id IS 'The job that waits, or waited, for it.';
COMMENT ON COLUMN analyst.signals.step IS 'Its step.';
COMMENT ON COLUMN analyst.signals.system IS 'Its system.';
COMMENT ON COLUMN analyst.signals.result IS 'What became of it.';

CREATE VIEW analyst.escrow AS
SELECT e.offboarding_id, e.job_id, e.phase, e.step, e.system, e.action, e.attempt, e.occurred_at AS sealed_at, a.key AS account,
       v.key AS name, v.value #>> '{}' AS sealed
FROM event e
     CROSS JOIN LATERAL (SELECT (body_of(e) #> '{context,escrow}')::jsonb OFFSET 0) AS x (escrow)
     CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(x.escrow) = 'object' THEN x.escrow END) a
     CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(a.value) = 'object' THEN a.value END) v
WHERE e.name = 'job.before' AND e.job_id IS NOT NULL;
COMMENT ON VIEW analyst.escrow IS
    'Secrets that jobs have set, sealed: `offboard reveal` has them opened, on record. Every attempt seals what it is about to send.';
COMMENT ON COLUMN analyst.escrow.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN analyst.escrow.job_id IS 'The job.';
COMMENT ON COLUMN analyst.escrow.phase IS 'Its phase.';
COMMENT ON COLUMN analyst.escrow.step IS 'Its step.';
COMMENT ON COLUMN analyst.escrow.system IS 'The system.';
COMMENT ON COLUMN analyst.escrow.action IS 'The connector''s action.';
COMMENT ON COLUMN analyst.escrow.attempt IS 'The attempt that sealed it.';
COMMENT ON COLUMN analyst.escrow.sealed_at IS 'When it was sealed: right before the first change.';
COMMENT ON COLUMN analyst.escrow.account IS 'The account at the system; empty: none.';
COMMENT ON COLUMN analyst.escrow.name IS 'Name of the value, as in the connector''s `escrow`.';
COMMENT ON COLUMN analyst.escrow.sealed IS 'The sealed value (lib/escrow.h); of no use without vault.escrow_private_key.';

CREATE VIEW analyst.paused_systems AS
SELECT s.system, s.reason, s.actor ->> 'name' AS paused_by, s.paused_at FROM system_pause s;
COMMENT ON VIEW analyst.paused_systems IS 'Systems whose workers start no job.';
COMMENT ON COLUMN analyst.paused_systems.system IS 'The system.';
COMMENT ON COLUMN analyst.paused_systems.reason IS 'Why.';
COMMENT ON COLUMN analyst.paused_systems.paused_by IS 'Who paused it.';
COMMENT ON COLUMN analyst.paused_systems.paused_at IS 'Since when.';

CREATE VIEW analyst.systems AS
SELECT coalesce(s.system, p.system) AS system, s.state, s.since, s.status_code, s.why, s.unattended_since, p.paused_at AS paused_since,
       p.reason AS paused_why
FROM system_state s FULL JOIN system_pause p ON p.system = s.system;
COMMENT ON VIEW analyst.systems IS 'How systems are: as their workers said last, whether they have workers, and whether they are paused.';
COMMENT ON COLUMN analyst.systems.system IS 'The system.';
COMMENT ON COLUMN analyst.systems.state IS
    'up, down (no answer, or errors of its own), refused (it rejects our credentials) or throttled; null: no worker has said.';
COMMENT ON COLUMN analyst.systems.since IS 'Since when.';
COMMENT ON COLUMN analyst.systems.status_code IS 'The vendor''s HTTP status that showed it; 0: none.';
COMMENT ON COLUMN analyst.systems.why IS 'What the vendor said, or why it did not.';
COMMENT ON COLUMN analyst.systems.unattended_since IS 'Since when jobs wait that no worker takes; null: it has a worker, or nothing waits.';
COMMENT ON COLUMN analyst.systems.paused_since IS 'Since when it is paused; null: it isn''t.';
COMMENT ON COLUMN analyst.systems.paused_why IS 'Why it is paused.';

CREATE VIEW analyst.definitions AS
SELECT d.kind, d.name, d.hash, d.file, d.published_by, d.published_at, d.text FROM definition d;
COMMENT ON VIEW analyst.definitions IS 'Texts of sources, runbooks and connectors that plans were made from.';
COMMENT ON COLUMN analyst.definitions.kind IS 'source, runbook or connector.';
COMMENT ON COLUMN analyst.definitions.name IS 'Its name.';
COMMENT ON COLUMN analyst.definitions.hash IS 'SHA-256 of its text, as plans name it.';
COMMENT ON COLUMN analyst.definitions.file IS 'The file it was read from.';
COMMENT ON COLUMN analyst.definitions.published_by IS 'The process that brought it.';
COMMENT ON COLUMN analyst.definitions.published_at IS 'When it was first published.';
COMMENT ON COLUMN analyst.definitions.text IS 'The file as it was read.';

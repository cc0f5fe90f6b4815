"""Tables whose personal data are sealed, as tests read them: each stands behind FROM."""

OFFBOARDING = """(
    SELECT o.id, o.status, opened(o.id, o.reason) AS reason, o.runbook, o.source, o.mode, o.priority, p -> 'leaver' AS leaver, p -> 'ids' AS ids,
           p -> 'extra' AS extra, o.actor, o.event, o.event_at, o.zone, o.received_at, o.effective_at, o.started_at, o.ended_at, o.approved, o.plan,
           o.traceparent, o.recorded_at, o.erase_ordered_at, o.erased_at
    FROM offboarding o CROSS JOIN LATERAL (SELECT opened(o.id, o.personal)::jsonb OFFSET 0) AS x (p)) AS offboarding"""

JOB = """(
    SELECT j.id, j.offboarding_id, j.phase, j.step, j.position, j.system, j.action, j.effect, j.needs, j.run_when, j.after_us, j.spec, j.state,
           p ->> 'reason' AS reason, j.attempt, j.due_at, j.changed_at, j.outcome, j.status_code, p -> 'outputs' AS outputs, p -> 'saved' AS saved,
           p -> 'verified' AS verified, j.verified_at, j.answered_at, j.duration_ms, j.follower, j.carries,
           opened(j.offboarding_id, j.before_image)::jsonb AS before_image
    FROM job j CROSS JOIN LATERAL (SELECT opened(j.offboarding_id, j.personal)::jsonb OFFSET 0) AS x (p)) AS job"""

INTAKE = """(
    SELECT i.id, i.source, i.source_event_id, i.type, i.event_time, i.received_at, coalesce(i.person, p ->> 'person') AS person, i.disposition,
           coalesce(i.reason, p ->> 'reason') AS reason, coalesce(i.criterion, nullif(p -> 'criterion', 'null')) AS criterion, i.offboarding_id,
           i.topic, i.kafka_partition, i.kafka_offset, coalesce(i.data, nullif(p -> 'data', 'null')) AS data, i.recorded_at
    FROM intake i CROSS JOIN LATERAL (SELECT opened(i.offboarding_id, i.personal)::jsonb OFFSET 0) AS x (p)) AS intake"""

EVENT = "(SELECT e.*, body_of(e) AS opened FROM event e) AS event"

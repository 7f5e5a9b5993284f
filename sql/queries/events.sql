-- name: get_subject
-- A resource as its GET gives it now, null when it is gone.
SELECT resource_json(%(subject_type)s::text, %(id)s::uuid)::text AS document;

-- name: flush_and_commit
-- A transaction's events as its last act. The lock makes sequence numbers grow in the order of commits. It is
-- not held while the disk is waited for: the commit itself does not wait, the empty one behind it does, together
-- with those of others; it reads what the caller wants to be told.
SET LOCAL synchronous_commit = off;
SELECT pg_advisory_xact_lock(hashtext('qarax events'));
WITH recorded AS (
    SELECT e.*
    FROM ROWS FROM (
        json_to_recordset(%(events)s::json) AS (
            action text, actor text, request_id text, subject_type text, subject_id uuid, subject_name text,
            message text, before text
        )
    ) WITH ORDINALITY AS e (
        action, actor, request_id, subject_type, subject_id, subject_name, message, before, place
    )
),

subjects AS (
    SELECT
        subject_type,
        array_agg(DISTINCT subject_id) AS ids
    FROM recorded
    GROUP BY subject_type
),

resources AS (
    SELECT
        s.subject_type,
        r.id,
        r.document
    FROM subjects AS s
    CROSS JOIN resources_json(s.subject_type, s.ids) AS r
)

INSERT INTO events (action, actor, request_id, subject_type, subject_id, subject_name, before, after, message)
SELECT
    e.action,
    e.actor,
    e.request_id,
    e.subject_type,
    e.subject_id,
    e.subject_name,
    e.before::json,
    r.document,
    e.message
FROM recorded AS e
LEFT JOIN resources AS r ON e.subject_type = r.subject_type AND e.subject_id = r.id
ORDER BY e.place;
NOTIFY qarax_events;
COMMIT;
SELECT
    r.id,
    r.document::text AS document
FROM pg_logical_emit_message(true, 'qarax', '') AS place
LEFT JOIN resources_json(%(subject_type)s::text, %(ids)s::uuid []) AS r ON place IS NOT NULL;

-- name: list_events_after
-- A page of the flight recorder in the order of commits.
SELECT
    sequence,
    subject_type,
    subject_id,
    to_json(e)::text AS document,
    extract(EPOCH FROM clock_timestamp() - occurred_at)::float AS age_seconds
FROM event_resources AS e
WHERE
    sequence > %(after)s
    AND (%(subject_id)s::uuid IS NULL OR subject_id = %(subject_id)s::uuid)
    AND (%(subject_type)s::text IS NULL OR subject_type = %(subject_type)s::text)
ORDER BY sequence
LIMIT %(limit)s;

-- name: get_newest_sequence
-- The sequence number of the newest event, 0 when there is none.
SELECT coalesce(max(sequence), 0) AS newest
FROM events;

-- name: get_kept
-- The sequence numbers of the newest and the oldest event kept, 0 when there is none.
SELECT
    coalesce(max(sequence), 0) AS newest,
    coalesce(min(sequence), 0) AS oldest
FROM events;

-- name: delete_old_events
-- Forget some of what is older than the time it is kept; so many at a time, for a statement has its time limit.
DELETE FROM events
WHERE
    sequence IN (
        SELECT e.sequence FROM events AS e
        WHERE e.occurred_at < now() - make_interval(days => %(days)s)
        LIMIT %(most)s
    );

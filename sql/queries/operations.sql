-- name: get_operation
-- An operation as it is kept.
SELECT * FROM operations WHERE id = %(id)s;

-- name: get_operation_document
-- An operation as its GET answers it.
SELECT to_json(r)::text AS document FROM operation_resources AS r WHERE r.id = %(id)s;

-- name: get_running_operation
-- The operation in flight on a subject.
SELECT * FROM operations
WHERE subject_type = %(subject_type)s AND subject_id = %(subject_id)s AND status = 'running';

-- name: claim_vm_operation
-- Begin an action on a VM: only from an allowed status, only while its host answers, only one at a time.
INSERT INTO operations (
    subject_type, subject_id, subject_name, action, actor, request_id, parameters, deadline_at
)
SELECT
    'vm',
    v.id,
    v.name,
    %(action)s,
    %(actor)s,
    %(request_id)s,
    %(parameters)s::jsonb,
    now() + make_interval(secs => %(seconds)s)
FROM vms AS v
INNER JOIN hosts AS h ON v.host_id = h.id
WHERE v.id = %(vm_id)s AND h.reachable AND v.status = ANY(%(allowed)s::text [])
FOR UPDATE OF v
ON CONFLICT (subject_type, subject_id) WHERE status = 'running' DO NOTHING
RETURNING *;

-- name: insert_operation
-- Begin an action on a subject that was just made, or that has no status to check.
INSERT INTO operations (
    id, subject_type, subject_id, subject_name, action, actor, request_id, parameters, deadline_at
)
VALUES (
    coalesce(%(id)s::uuid, gen_random_uuid()), %(subject_type)s, %(subject_id)s, %(subject_name)s, %(action)s, %(actor)s, %(request_id)s,
    %(parameters)s::jsonb, now() + make_interval(secs => %(seconds)s)
)
RETURNING *;

-- name: settle_operation
-- End an operation, if nobody ended it before.
UPDATE operations
SET status = %(status)s, outcome = %(outcome)s, reason = %(reason)s, ended_at = now(), updated_at = now()
WHERE id = %(id)s AND status = 'running'
RETURNING
    *,
    (SELECT to_json(r)::text FROM operation_resources AS r WHERE r.id = operations.id) AS before;

-- name: take_over
-- End whatever runs on a subject in favour of a stronger action.
UPDATE operations
SET status = 'cancelled', outcome = 'taken_over', reason = %(reason)s, ended_at = now(), updated_at = now()
WHERE
    subject_type = %(subject_type)s
    AND subject_id = %(subject_id)s
    AND status = 'running'
    AND action <> ALL(%(except_actions)s::text [])
RETURNING
    *,
    (SELECT to_json(r)::text FROM operation_resources AS r WHERE r.id = operations.id) AS before;

-- name: shorten_stop
-- A stop gets a nearer deadline.
UPDATE operations
SET
    parameters = parameters || jsonb_build_object('grace_seconds', %(grace)s::integer),
    deadline_at = least(deadline_at, now() + make_interval(secs => %(grace)s::integer)),
    updated_at = now()
WHERE id = %(id)s AND status = 'running'
RETURNING
    *,
    (SELECT to_json(r)::text FROM operation_resources AS r WHERE r.id = operations.id) AS before;

-- name: list_open_vm_operations
-- Operations on VMs that are in flight, with the host they wait for.
SELECT
    o.*,
    v.host_id,
    greatest(extract(EPOCH FROM o.deadline_at - now()), 0)::float AS seconds_left
FROM operations AS o
LEFT JOIN vms AS v ON o.subject_id = v.id
WHERE o.subject_type = 'vm' AND o.status = 'running'
ORDER BY o.started_at;

-- name: request_cancel
-- Ask for the end of an operation that is in flight.
UPDATE operations SET cancel_requested = true, updated_at = now()
WHERE id = %(id)s AND status = 'running'
RETURNING
    *,
    (SELECT to_json(r)::text FROM operation_resources AS r WHERE r.id = operations.id) AS before;

-- name: delete_old_operations
-- Forget what ended longer ago than it is kept.
DELETE FROM operations WHERE ended_at < now() - make_interval(days => %(days)s);

-- name: list_open_operations
-- What is in flight on one kind of subject.
SELECT * FROM operations
WHERE subject_type = %(subject_type)s AND status = 'running'
ORDER BY started_at;

-- name: list_operations_page
-- A page of operations as JSON text, or all of them; the key of the last one leads to the next page.
SELECT
    coalesce(json_agg(page), '[]')::text AS body,
    count(*) AS length,
    CASE
        WHEN %(limit)s::bigint IS NULL THEN count(*)
        ELSE (
            SELECT count(*) FROM operation_resources AS r
            WHERE
                (%(status)s::text IS NULL OR r.status = %(status)s::text)
                AND (%(subject_id)s::uuid IS NULL OR r.subject_id = %(subject_id)s::uuid)
        )
    END AS total,
    (array_agg(page.id) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_id,
    (array_agg(page.subject_name) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_name,
    (array_agg(page.started_at) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)]::text AS last_time
FROM (
    SELECT r.* FROM operation_resources AS r
    WHERE
        (%(status)s::text IS NULL OR r.status = %(status)s::text)
        AND (%(subject_id)s::uuid IS NULL OR r.subject_id = %(subject_id)s::uuid)
        AND (
            %(after_id)s::uuid IS NULL
            OR CASE %(sort)s::text
                WHEN 'name' THEN (r.subject_name, r.id) > (%(after_name)s::text, %(after_id)s::uuid)
                WHEN '-name' THEN (r.subject_name, r.id) < (%(after_name)s::text, %(after_id)s::uuid)
                WHEN '-created_at' THEN (r.started_at, r.id) < (%(after_time)s::timestamptz, %(after_id)s::uuid)
                ELSE (r.started_at, r.id) > (%(after_time)s::timestamptz, %(after_id)s::uuid)
            END
        )
    ORDER BY
        CASE WHEN %(sort)s::text = 'name' THEN r.subject_name END ASC,
        CASE WHEN %(sort)s::text = '-name' THEN r.subject_name END DESC,
        CASE WHEN %(sort)s::text = 'created_at' THEN r.started_at END ASC,
        CASE WHEN %(sort)s::text = '-created_at' THEN r.started_at END DESC,
        CASE WHEN left(%(sort)s::text, 1) <> '-' THEN r.id END ASC,
        CASE WHEN left(%(sort)s::text, 1) = '-' THEN r.id END DESC
    LIMIT %(limit)s::bigint
) AS page;

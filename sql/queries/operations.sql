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
-- Begin an action on a VM: only from an allowed status, only while its host answers, only one at a time; with the
-- VM's JSON from before.
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
    CASE WHEN %(action)s = 'stop' THEN jsonb_build_object('grace_seconds', g.seconds) ELSE '{}' END,
    now() + make_interval(secs => CASE WHEN %(action)s = 'stop' THEN g.seconds ELSE %(seconds)s END)
FROM vms AS v
INNER JOIN hosts AS h ON v.host_id = h.id
CROSS JOIN LATERAL (
    SELECT coalesce(%(grace)s::integer, v.stop_grace_seconds, %(usual_grace)s) AS seconds
) AS g
WHERE v.id = %(vm_id)s AND h.reachable AND v.status = ANY(%(allowed)s::text [])
FOR UPDATE OF v
ON CONFLICT (subject_type, subject_id) WHERE status = 'running' DO NOTHING
RETURNING
    *,
    resource_json('vm', subject_id)::text AS vm_before;

-- name: insert_operations
-- Begin actions on subjects that were just made, or that have no status to check.
INSERT INTO operations (
    id, subject_type, subject_id, subject_name, action, actor, request_id, parameters, deadline_at
)
SELECT
    coalesce(n.id, gen_random_uuid()),
    n.subject_type,
    n.subject_id,
    n.subject_name,
    n.action,
    n.actor,
    n.request_id,
    n.parameters,
    now() + make_interval(secs => n.seconds)
FROM json_to_recordset(%(operations)s::json) AS n (
    id uuid, subject_type text, subject_id uuid, subject_name text, action text, actor text, request_id text,
    parameters jsonb, seconds float
)
RETURNING *;

-- name: settle_operations
-- End operations, those that nobody ended before; with the JSON from before, and that of the VM of one on a VM.
UPDATE operations
SET status = e.status, outcome = e.outcome, reason = e.reason, ended_at = now(), updated_at = now()
FROM json_to_recordset(%(ends)s::json) AS e (id uuid, status text, outcome text, reason text)
WHERE operations.id = e.id AND operations.status = 'running'
RETURNING
    operations.*,
    resource_json('operation', operations.id)::text AS before,
    CASE
        WHEN operations.subject_type = 'vm' THEN resource_json('vm', operations.subject_id)::text
    END AS vm_before;

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
    resource_json('operation', operations.id)::text AS before;

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
    resource_json('operation', operations.id)::text AS before;

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
    resource_json('operation', operations.id)::text AS before;

-- name: delete_old_operations
-- Forget some of what ended longer ago than it is kept.
DELETE FROM operations
WHERE
    id IN (
        SELECT o.id FROM operations AS o
        WHERE o.ended_at < now() - make_interval(days => %(days)s)
        LIMIT %(most)s
    );

-- name: list_open_operations
-- What is in flight on one kind of subject.
SELECT * FROM operations
WHERE subject_type = %(subject_type)s AND status = 'running'
ORDER BY started_at;

-- name: list_operation_resources
-- Operations as their GETs answer them.
SELECT r.* FROM operation_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.subject_name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(subject_id)s::uuid IS NULL OR r.subject_id = %(subject_id)s::uuid);

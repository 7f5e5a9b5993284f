-- name: begin_deployment
-- A host is being installed. It gets no new VMs; those that it has go on.
UPDATE hosts SET status = 'installing', status_reason = NULL, updated_at = now() WHERE id = %(id)s;

-- name: expect_node
-- What was to be installed is there: its node is awaited, and the host is watched.
UPDATE hosts
SET status = 'initializing', status_reason = NULL, admitted = true, updated_at = now()
WHERE id = %(id)s;

-- name: finish_deployment
-- The end of a deployment: up when its node answers. The node's own reason, when it is degraded, stays.
UPDATE hosts SET status = 'up', updated_at = now()
WHERE id = %(id)s AND status = 'initializing' AND reachable
RETURNING id;

-- name: fail_deployment
-- The end of one that did not succeed.
UPDATE hosts SET status = 'installation_failed', status_reason = %(reason)s, updated_at = now()
WHERE id = %(id)s AND status IN ('installing', 'initializing');

-- name: undo_deployment
-- The end of one that was cancelled before it changed what runs: the host is what it was.
UPDATE hosts
SET
    status = CASE WHEN NOT admitted THEN 'down' WHEN reachable THEN 'up' ELSE 'unknown' END,
    status_reason = CASE WHEN admitted AND NOT reachable THEN 'its node has not answered yet' END,
    updated_at = now()
WHERE id = %(id)s AND status IN ('installing', 'initializing');

-- name: pin_ssh_host_key
-- The key that a host showed, unless one is known.
UPDATE hosts SET ssh_host_key = %(key)s, updated_at = now() WHERE id = %(id)s AND ssh_host_key IS NULL;

-- name: note_progress
-- How far an operation has come.
UPDATE operations SET progress = %(progress)s::jsonb, updated_at = now()
WHERE id = %(id)s AND status = 'running'
RETURNING
    *,
    (SELECT to_json(r)::text FROM operation_resources AS r WHERE r.id = operations.id) AS before;

-- name: list_running_vms
-- What runs on a host, by the last observation; what is being started counts.
SELECT v.name FROM vms AS v
WHERE
    v.host_id = %(host_id)s
    AND (
        v.status IN ('running', 'paused', 'unknown')
        OR EXISTS (
            SELECT 1 FROM operations AS o
            WHERE o.subject_type = 'vm' AND o.subject_id = v.id AND o.status = 'running' AND o.action = 'start'
        )
    )
ORDER BY v.name;

-- name: insert_disk_operation
-- Begin to make a disk; the operation's subject is the object to be.
INSERT INTO operations (
    id, subject_type, subject_id, subject_name, action, actor, request_id, parameters, deadline_at
)
VALUES (
    %(id)s::uuid, 'storage_object', %(object_id)s::uuid, %(name)s, %(action)s, %(actor)s, %(request_id)s,
    %(parameters)s::jsonb, now() + make_interval(secs => %(seconds)s)
)
RETURNING *;

-- name: list_open_disk_operations
-- Disks whose making has not ended.
SELECT * FROM operations
WHERE subject_type = 'storage_object' AND status = 'running' AND action = %(action)s
ORDER BY started_at;

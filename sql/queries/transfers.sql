-- name: list_transfer_resources
-- A pool's transfers as their GETs answer them.
SELECT r.* FROM transfer_resources AS r
WHERE
    r.storage_pool_id = %(pool_id)s::uuid
    AND (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(object_type)s::text IS NULL OR r.object_type = %(object_type)s::text);

-- name: get_transfer_document
-- A transfer of a pool as its GET answers it.
SELECT to_json(r)::text AS document FROM transfer_resources AS r
WHERE r.id = %(id)s::uuid AND r.storage_pool_id = %(pool_id)s::uuid;

-- name: lock_transfer
-- A transfer that nobody else settles until the end of the transaction.
SELECT * FROM transfers
WHERE id = %(id)s::uuid
FOR UPDATE;

-- name: list_open_transfers
-- Those that have not ended.
SELECT * FROM transfers
WHERE status IN ('pending', 'running')
ORDER BY created_at, id;

-- name: insert_transfer
-- A new transfer, not begun.
INSERT INTO transfers (id, name, source, object_type, transfer_type, storage_pool_id, sha256)
VALUES (
    %(id)s::uuid,
    %(name)s,
    %(source)s,
    %(object_type)s,
    %(transfer_type)s,
    %(storage_pool_id)s::uuid,
    %(sha256)s
);

-- name: begin_transfer
-- A host has taken it up.
UPDATE transfers
SET status = 'running', host_id = %(host_id)s::uuid, started_at = coalesce(started_at, now()), updated_at = now()
WHERE id = %(id)s::uuid AND status IN ('pending', 'running');

-- name: update_transfer_progress
-- How far it has come.
UPDATE transfers
SET transferred_bytes = %(transferred_bytes)s::bigint, total_bytes = %(total_bytes)s::bigint, updated_at = now()
WHERE id = %(id)s::uuid AND status = 'running';

-- name: complete_transfer
-- The file is in place and an object.
UPDATE transfers
SET
    status = 'completed',
    storage_object_id = %(storage_object_id)s::uuid,
    transferred_bytes = %(size_bytes)s::bigint,
    total_bytes = %(size_bytes)s::bigint,
    completed_at = now(),
    updated_at = now()
WHERE id = %(id)s::uuid AND status IN ('pending', 'running');

-- name: fail_transfer
-- It ended without a file.
UPDATE transfers
SET status = 'failed', error_message = %(error_message)s, completed_at = now(), updated_at = now()
WHERE id = %(id)s::uuid AND status IN ('pending', 'running');

-- name: delete_old_transfers
-- Forget some of those that ended longer ago than operations are kept; what they brought stays.
DELETE FROM transfers
WHERE
    id IN (
        SELECT t.id FROM transfers AS t
        WHERE t.completed_at < now() - make_interval(days => %(days)s)
        LIMIT %(most)s
    );

-- name: list_import_paths
-- The directories of all pools a host has: a local copy may come from inside them.
SELECT DISTINCT config ->> 'path' AS path FROM storage_pools
WHERE config ->> 'path' IS NOT NULL AND (host_id IS NULL OR host_id = %(host_id)s::uuid)
ORDER BY path;

-- name: list_storage_object_resources
-- Objects as their GETs answer them.
SELECT r.* FROM storage_object_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(pool_id)s::uuid IS NULL OR r.storage_pool_id = %(pool_id)s::uuid)
    AND (%(object_type)s::text IS NULL OR r.object_type = %(object_type)s::text);

-- name: get_storage_object_document
-- An object as its GET answers it.
SELECT to_json(r)::text AS document FROM storage_object_resources AS r
WHERE r.id = %(id)s::uuid;

-- name: get_storage_object
-- An object for what is decided about it.
SELECT * FROM storage_objects
WHERE id = %(id)s::uuid;

-- name: lock_storage_object
-- An object that nothing new can refer to until the end of the transaction.
SELECT * FROM storage_objects
WHERE id = %(id)s::uuid
FOR UPDATE;

-- name: get_storage_object_by_name
-- The object of a name in a pool.
SELECT * FROM storage_objects
WHERE storage_pool_id = %(pool_id)s::uuid AND name = %(name)s;

-- name: insert_storage_object
-- A new object, counted in its pool.
WITH counted AS (
    UPDATE storage_pools
    SET allocated_bytes = allocated_bytes + %(size_bytes)s::bigint, updated_at = now()
    WHERE id = %(storage_pool_id)s::uuid
)

INSERT INTO storage_objects (id, name, storage_pool_id, object_type, size_bytes, config, parent_id, host_id)
VALUES (
    %(id)s::uuid,
    %(name)s,
    %(storage_pool_id)s::uuid,
    %(object_type)s,
    %(size_bytes)s::bigint,
    %(config)s::jsonb,
    %(parent_id)s::uuid,
    %(host_id)s::uuid
);

-- name: list_storage_object_users
-- What stands in the way of deleting an object, in words.
SELECT 'boot source ' || name AS who FROM boot_sources
WHERE %(id)s::uuid IN (kernel_image_id, initrd_image_id)
UNION ALL
SELECT 'VM ' || v.name || ' (disk ' || d.position || ')'
FROM vm_disks AS d
INNER JOIN vms AS v ON d.vm_id = v.id
WHERE d.storage_object_id = %(id)s::uuid
UNION ALL
SELECT 'storage object ' || name FROM storage_objects
WHERE parent_id = %(id)s::uuid
ORDER BY who;

-- name: delete_storage_object
-- Forget an object, and count it out of its pool.
WITH gone AS (
    DELETE FROM storage_objects
    WHERE id = %(id)s::uuid
    RETURNING storage_pool_id, size_bytes
)

UPDATE storage_pools AS p
SET allocated_bytes = p.allocated_bytes - gone.size_bytes, updated_at = now()
FROM gone
WHERE p.id = gone.storage_pool_id;

-- name: lock_path
-- Let nobody else begin anything at a path until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('qarax path ' || %(path)s));

-- name: list_path_holders
-- What a file at a path of a pool's hosts belongs to, or will, in words.
WITH shared AS (
    SELECT other.id, other.config ->> 'path' AS path FROM storage_pools AS other
    INNER JOIN storage_pools AS mine ON coalesce(other.host_id = mine.host_id, true)
    WHERE mine.id = %(pool_id)s::uuid
)

SELECT 'storage object ' || o.name AS who FROM storage_objects AS o
INNER JOIN shared AS p ON o.storage_pool_id = p.id
WHERE %(objects)s AND o.config ->> 'path' = %(path)s
UNION ALL
SELECT 'transfer ' || t.id || ', which is under way' FROM transfers AS t
INNER JOIN shared AS p ON t.storage_pool_id = p.id
WHERE t.status IN ('pending', 'running') AND p.path || '/' || t.name = %(path)s
UNION ALL
SELECT 'operation ' || x.id || ', which makes a disk' FROM operations AS x
INNER JOIN shared AS p ON x.parameters ->> 'storage_pool_id' = p.id::text
WHERE
    x.subject_type = 'storage_object' AND x.status = 'running' AND x.action = 'create_disk'
    AND p.path || '/' || x.subject_name = %(path)s
ORDER BY who;

-- name: list_pool_hosts
-- The hosts that answer and have a pool: its own, else every one, that with most of its files first.
SELECT h.* FROM hosts AS h
INNER JOIN storage_pools AS p ON coalesce(p.host_id, h.id) = h.id
WHERE p.id = %(pool_id)s::uuid AND h.reachable AND h.admitted
ORDER BY
    (SELECT count(*) FROM storage_objects AS o WHERE o.storage_pool_id = p.id AND o.host_id = h.id) DESC,
    h.name;

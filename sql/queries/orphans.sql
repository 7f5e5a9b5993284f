-- name: sync_orphans
-- The VMs a node has and nobody here knows: new ones appear, those that went away disappear.
WITH seen AS (
    SELECT * FROM json_to_recordset(%(orphans)s::json) AS o (vm_id uuid, name text, status text)
),

gone AS (
    DELETE FROM orphans
    WHERE host_id = %(host_id)s AND vm_id NOT IN (SELECT seen.vm_id FROM seen)
    RETURNING vm_id, name
),

found AS (
    INSERT INTO orphans (host_id, vm_id, name, status)
    SELECT %(host_id)s::uuid, seen.vm_id, seen.name, seen.status FROM seen
    ON CONFLICT (host_id, vm_id) DO UPDATE SET status = excluded.status
    RETURNING vm_id, name, xmax = 0 AS is_new
)

SELECT vm_id, name, 'gone' AS change FROM gone
UNION ALL
SELECT vm_id, name, 'found' AS change FROM found WHERE is_new;

-- name: insert_orphan
-- Put one on the list, or its status; whether it is new there.
INSERT INTO orphans (host_id, vm_id, name, status)
VALUES (%(host_id)s, %(vm_id)s, %(name)s, %(status)s)
ON CONFLICT (host_id, vm_id) DO UPDATE SET status = excluded.status
RETURNING xmax = 0 AS is_new;

-- name: list_orphan_resources
-- Orphans as they are answered.
SELECT r.* FROM orphan_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(host_id)s::uuid IS NULL OR r.host_id = %(host_id)s::uuid)
    AND (%(ignored)s::boolean IS NULL OR r.ignored = %(ignored)s::boolean);

-- name: get_orphan
-- An orphan as it is kept.
SELECT * FROM orphans WHERE host_id = %(host_id)s AND vm_id = %(vm_id)s;

-- name: get_orphan_document
-- An orphan as the list shows it.
SELECT to_json(r)::text AS document FROM orphan_resources AS r
WHERE r.host_id = %(host_id)s AND r.vm_id = %(vm_id)s;

-- name: ignore_orphan
-- Leave an orphan as it is for good.
UPDATE orphans SET ignored = true WHERE host_id = %(host_id)s AND vm_id = %(vm_id)s
RETURNING *;

-- name: find_boot_source
-- A boot source of these files and this command line, in pools of this host.
SELECT b.id
FROM boot_sources AS b
INNER JOIN storage_objects AS k ON b.kernel_image_id = k.id
INNER JOIN storage_pools AS kp ON k.storage_pool_id = kp.id
LEFT JOIN storage_objects AS i ON b.initrd_image_id = i.id
WHERE
    k.config ->> 'path' = %(kernel)s
    AND i.config ->> 'path' IS NOT DISTINCT FROM %(initrd)s::text
    AND coalesce(nullif(b.kernel_params, ''), %(default_parameters)s) = %(cmdline)s
    AND (kp.host_id IS NULL OR kp.host_id = %(host_id)s)
ORDER BY b.name
LIMIT 1;

-- name: find_objects
-- The objects that these files are, in pools of this host.
SELECT
    o.id,
    o.config ->> 'path' AS path
FROM storage_objects AS o
INNER JOIN storage_pools AS p ON o.storage_pool_id = p.id
WHERE
    o.config ->> 'path' = ANY(%(paths)s::text [])
    AND o.object_type NOT IN ('kernel', 'initrd')
    AND (p.host_id IS NULL OR p.host_id = %(host_id)s);

-- name: delete_orphan
-- Take one off the list.
DELETE FROM orphans WHERE host_id = %(host_id)s AND vm_id = %(vm_id)s RETURNING name;

-- name: insert_tombstone
-- Remember a deletion that a node was not told of yet.
INSERT INTO tombstones (vm_id, host_id, name) VALUES (%(vm_id)s, %(host_id)s, %(name)s)
ON CONFLICT (vm_id) DO NOTHING;

-- name: list_known
-- What is known of these VMs and of a host's: the host of each that is kept here, deletions that the host's node is to
-- be told of, and the host's orphans.
SELECT 'kept' AS what, id, host_id FROM vms WHERE host_id = %(host_id)s OR id = ANY(%(ids)s::uuid [])
UNION ALL
SELECT 'deleted' AS what, vm_id AS id, host_id FROM tombstones WHERE host_id = %(host_id)s
UNION ALL
SELECT 'orphan' AS what, vm_id AS id, host_id FROM orphans WHERE host_id = %(host_id)s;

-- name: delete_tombstone
-- The node knows.
DELETE FROM tombstones WHERE vm_id = %(vm_id)s;

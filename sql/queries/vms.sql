-- name: get_vm
-- A VM as it is kept, with what a reader is told of its status.
SELECT
    v.*,
    CASE WHEN h.reachable THEN v.status ELSE 'unknown' END AS shown_status,
    (
        SELECT coalesce(json_agg(to_json(d) ORDER BY d.position), '[]')
        FROM vm_disks AS d
        WHERE d.vm_id = v.id
    ) AS disks
FROM vms AS v
INNER JOIN hosts AS h ON v.host_id = h.id
WHERE v.id = %(id)s;

-- name: lock_vms
-- VMs that are about to be written, always locked in the same order.
SELECT id FROM vms WHERE id = ANY(%(ids)s::uuid []) ORDER BY id FOR UPDATE;

-- name: lock_vm
-- A VM that nobody else begins anything on until the end of the transaction.
SELECT id FROM vms WHERE id = %(id)s FOR UPDATE;

-- name: get_vm_document
-- A VM as its GET answers it.
SELECT resource_json('vm', %(id)s::uuid)::text AS document;

-- name: insert_vms
-- Keep VMs, each on the host it was placed on; not yet observed.
INSERT INTO vms (
    id, name, description, hypervisor, wanted_driver, driver, host_id, boot_vcpus, max_vcpus, cpu_topology,
    kvm_hyperv, memory_size, memory_hotplug_size, memory_hugepages, memory_hugepage_size, memory_mergeable,
    memory_prefault, memory_shared, memory_thp, boot_source_id, networks, config, autostart, protected,
    stop_grace_seconds
)
SELECT
    r.id,
    r.name,
    r.description,
    r.hypervisor,
    r.wanted_driver,
    r.driver,
    r.host_id,
    r.boot_vcpus,
    r.max_vcpus,
    r.cpu_topology,
    r.kvm_hyperv,
    r.memory_size,
    r.memory_hotplug_size,
    r.memory_hugepages,
    r.memory_hugepage_size,
    r.memory_mergeable,
    r.memory_prefault,
    r.memory_shared,
    r.memory_thp,
    r.boot_source_id,
    r.networks,
    r.config,
    r.autostart,
    r.protected,
    r.stop_grace_seconds
FROM jsonb_populate_recordset(NULL::vms, %(vms)s::jsonb) AS r
RETURNING *;

-- name: insert_disks
-- Attach a VM's disks in their order.
INSERT INTO vm_disks (vm_id, position, storage_object_id, readonly, image_type)
SELECT
    %(vm_id)s::uuid,
    d.place - 1,
    d.storage_object_id,
    d.readonly,
    d.image_type
FROM ROWS FROM (
    json_to_recordset(%(disks)s::json) AS (storage_object_id uuid, readonly boolean, image_type text)
) WITH ORDINALITY AS d (storage_object_id, readonly, image_type, place);

-- name: delete_disks
-- Detach a VM's disks.
DELETE FROM vm_disks WHERE vm_id = %(vm_id)s;

-- name: update_vm
-- Change what an operator may change; null leaves a column as it is.
UPDATE vms
SET
    name = coalesce(r.name, vms.name),
    description = coalesce(r.description, vms.description),
    stop_grace_seconds = coalesce(r.stop_grace_seconds, vms.stop_grace_seconds),
    autostart = coalesce(r.autostart, vms.autostart),
    protected = coalesce(r.protected, vms.protected),
    boot_vcpus = coalesce(r.boot_vcpus, vms.boot_vcpus),
    max_vcpus = coalesce(r.max_vcpus, vms.max_vcpus),
    cpu_topology = coalesce(r.cpu_topology, vms.cpu_topology),
    memory_size = coalesce(r.memory_size, vms.memory_size),
    boot_source_id = coalesce(r.boot_source_id, vms.boot_source_id),
    networks = coalesce(r.networks, vms.networks),
    updated_at = now()
FROM jsonb_populate_record(NULL::vms, %(changes)s::jsonb) AS r
WHERE vms.id = %(id)s
RETURNING vms.id;

-- name: delete_vm
-- Forget a VM; with its share of its host.
DELETE FROM vms
WHERE id = %(id)s
RETURNING name, host_id, boot_vcpus AS vcpus, memory_size + coalesce(memory_hotplug_size, 0) AS memory;

-- name: update_told
-- The specs that VMs' nodes were told, and took; nobody else begins anything on them until the end of the transaction.
UPDATE vms SET told_digest = nullif(t.digest, '')
FROM json_to_recordset(%(told)s::json) AS t (id uuid, digest text)
WHERE vms.id = t.id;

-- name: update_observed
-- What nodes observe of many VMs, newer than what is known and different from it; with the JSON from before.
UPDATE vms
SET
    status = o.status,
    status_reason = o.reason,
    driver = coalesce(o.driver, vms.driver),
    started_at = CASE WHEN o.started_at_ms > 0 THEN to_timestamp(o.started_at_ms / 1000.0) END,
    observed_generation = o.generation,
    told_digest = coalesce(vms.told_digest, o.digest),
    observed_digest = coalesce(o.digest, vms.observed_digest),
    updated_at = now()
FROM json_to_recordset(%(observations)s::json) AS o (
    vm_id uuid, host_id uuid, status text, reason text, driver text, generation bigint, started_at_ms bigint,
    digest text
)
INNER JOIN resources_json('vm', %(ids)s::uuid []) AS r ON o.vm_id = r.id
WHERE
    vms.id = o.vm_id
    AND vms.host_id = o.host_id
    AND o.generation >= vms.observed_generation
    AND (
        (vms.status, vms.status_reason) IS DISTINCT FROM (o.status, o.reason)
        OR vms.observed_generation <> o.generation
        OR vms.observed_digest IS DISTINCT FROM coalesce(o.digest, vms.observed_digest)
    )
RETURNING
    vms.id,
    vms.name,
    vms.status,
    observed_reason(vms.status_reason, vms.told_digest, vms.observed_digest) AS status_reason,
    r.document::text AS before;

-- name: update_absent
-- VMs that their host's node does not have: their status is not known any more.
UPDATE vms
SET status = 'unknown', status_reason = %(reason)s, updated_at = now()
WHERE
    id = ANY(%(ids)s::uuid [])
    AND host_id = %(host_id)s
    AND (status, status_reason) IS DISTINCT FROM ('unknown', %(reason)s)
    AND NOT EXISTS (
        SELECT FROM operations AS o
        WHERE o.subject_id = vms.id AND o.subject_type = 'vm' AND o.status = 'running'
    )
RETURNING
    vms.id,
    vms.name,
    vms.status,
    observed_reason(vms.status_reason, vms.told_digest, vms.observed_digest) AS status_reason,
    resource_json('vm', vms.id)::text AS before;

-- name: list_documents_of_host
-- The VMs of a host as their GETs answer them.
SELECT
    r.id,
    r.name,
    to_json(r)::text AS document
FROM vm_resources AS r
WHERE r.host_id = %(host_id)s;

-- name: list_vm_ids
-- Which of these VMs are kept here, and on which host.
SELECT id, host_id FROM vms WHERE id = ANY(%(ids)s::uuid []);

-- name: get_boot_files
-- The kernel and initrd of a boot source with their pools, and its command line.
SELECT
    b.kernel_params,
    k.config ->> 'path' AS kernel_path,
    kp.id AS kernel_pool_id,
    kp.config ->> 'path' AS kernel_pool_path,
    coalesce(kp.host_id, k.host_id) AS kernel_host_id,
    i.config ->> 'path' AS initrd_path,
    ip.id AS initrd_pool_id,
    ip.config ->> 'path' AS initrd_pool_path,
    coalesce(ip.host_id, i.host_id) AS initrd_host_id
FROM boot_sources AS b
INNER JOIN storage_objects AS k ON b.kernel_image_id = k.id
INNER JOIN storage_pools AS kp ON k.storage_pool_id = kp.id
LEFT JOIN storage_objects AS i ON b.initrd_image_id = i.id
LEFT JOIN storage_pools AS ip ON i.storage_pool_id = ip.id
WHERE b.id = %(id)s;

-- name: get_disk_files
-- Objects that are to be disks, with their pools.
SELECT
    o.id,
    o.object_type,
    o.config ->> 'path' AS path,
    p.config ->> 'path' AS pool_path,
    coalesce(p.host_id, o.host_id) AS host_id
FROM storage_objects AS o
INNER JOIN storage_pools AS p ON o.storage_pool_id = p.id
WHERE o.id = ANY(%(ids)s::uuid []);

-- name: get_root_disk_holder
-- The VM that runs on the configured root disk, or is about to; null when it is free.
SELECT v.name FROM vms AS v
WHERE
    v.boot_source_id IS NULL
    AND v.id <> %(vm_id)s
    AND (
        v.status IN ('running', 'paused')
        OR EXISTS (
            SELECT FROM operations AS o
            WHERE
                o.subject_type = 'vm' AND o.subject_id = v.id AND o.status = 'running' AND o.action = 'start'
        )
    )
ORDER BY v.name
LIMIT 1;

-- name: list_vm_resources
-- VMs as their GETs answer them.
SELECT r.* FROM vm_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(host_id)s::uuid IS NULL OR r.host_id = %(host_id)s::uuid);

-- Each resource exactly as its GET answers it: the columns are the fields of the contract, in its order.
-- Lists, single answers and the before/after of events all come from here.

CREATE VIEW host_resources AS
SELECT
    h.id,
    h.name,
    h.address,
    h.port,
    h.host_user,
    h.status,
    h.status_reason,
    h.drivers,
    h.versions,
    h.cpus,
    h.memory_bytes,
    h.allocated_vcpus,
    h.allocated_memory_bytes,
    h.last_seen_at,
    h.created_at,
    h.updated_at
FROM hosts AS h;

CREATE VIEW storage_pool_resources AS
SELECT
    p.id,
    p.name,
    p.pool_type,
    p.config,
    p.capacity_bytes,
    p.allocated_bytes,
    p.host_id,
    p.status,
    p.status_reason,
    p.created_at,
    p.updated_at
FROM storage_pools AS p;

CREATE VIEW storage_object_resources AS
SELECT
    o.id,
    o.name,
    o.storage_pool_id,
    o.object_type,
    o.size_bytes,
    o.config,
    o.parent_id,
    o.created_at,
    o.updated_at
FROM storage_objects AS o;

CREATE VIEW transfer_resources AS
SELECT
    t.id,
    t.name,
    t.source,
    t.object_type,
    t.transfer_type,
    t.status,
    t.storage_pool_id,
    t.storage_object_id,
    t.total_bytes,
    t.transferred_bytes,
    t.error_message,
    t.created_at,
    t.started_at,
    t.completed_at,
    t.updated_at
FROM transfers AS t;

CREATE VIEW boot_source_resources AS
SELECT
    b.id,
    b.name,
    b.description,
    b.kernel_image_id,
    b.initrd_image_id,
    b.kernel_params,
    b.created_at,
    b.updated_at
FROM boot_sources AS b;

CREATE VIEW operation_resources AS
SELECT
    o.id,
    o.subject_type,
    o.subject_id,
    o.subject_name,
    o.action,
    o.status,
    o.actor,
    o.request_id,
    o.parameters,
    o.progress,
    o.outcome,
    o.reason,
    o.cancel_requested,
    o.started_at,
    o.deadline_at,
    o.ended_at,
    o.updated_at
FROM operations AS o;

-- Why a VM has its status, and whether its node keeps another spec than the one it was told.
CREATE FUNCTION observed_reason(reason text, told_digest text, observed_digest text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN told_digest <> observed_digest
        THEN concat_ws('; ', reason, 'its node keeps another spec than it was told: the next start replaces it')
    ELSE reason
END
$$;

-- A VM whose host does not answer is unknown, whatever was last seen of it.
CREATE VIEW vm_resources AS
SELECT
    v.id,
    v.name,
    v.description,
    CASE WHEN h.reachable THEN v.status ELSE 'unknown' END AS status,
    CASE
        WHEN h.reachable THEN observed_reason(v.status_reason, v.told_digest, v.observed_digest)
        ELSE 'host ' || h.name || ' does not answer; last seen ' || v.status
    END AS status_reason,
    v.hypervisor,
    v.driver,
    v.host_id,
    v.boot_vcpus,
    v.max_vcpus,
    v.cpu_topology,
    v.kvm_hyperv,
    v.memory_size,
    v.memory_hotplug_size,
    v.memory_hugepages,
    v.memory_hugepage_size,
    v.memory_mergeable,
    v.memory_prefault,
    v.memory_shared,
    v.memory_thp,
    v.boot_source_id,
    v.networks,
    (
        SELECT
            coalesce(
                json_agg(
                    json_build_object(
                        'storage_object_id', d.storage_object_id,
                        'readonly', d.readonly,
                        'image_type', d.image_type
                    )
                    ORDER BY d.position
                ),
                '[]'
            )
        FROM vm_disks AS d
        WHERE d.vm_id = v.id
    ) AS disks,
    v.config,
    v.autostart,
    v.protected,
    v.stop_grace_seconds,
    v.started_at,
    v.created_at,
    v.updated_at,
    CASE WHEN o.id IS NOT NULL THEN
        json_build_object(
            'id', o.id,
            'action', o.action,
            'status', o.status,
            'started_at', o.started_at,
            'deadline_at', o.deadline_at,
            'progress', o.progress,
            'actor', o.actor
        )
    END AS operation
FROM vms AS v
INNER JOIN hosts AS h ON v.host_id = h.id
LEFT JOIN operations AS o ON v.id = o.subject_id AND o.subject_type = 'vm' AND o.status = 'running';

CREATE VIEW orphan_resources AS
SELECT
    o.vm_id,
    o.host_id,
    o.name,
    o.status,
    o.ignored,
    o.first_seen_at
FROM orphans AS o;

CREATE VIEW event_resources AS
SELECT
    e.sequence,
    e.occurred_at,
    e.action,
    e.actor,
    e.request_id,
    e.subject_type,
    e.subject_id,
    e.subject_name,
    e.before,
    e.after,
    e.message
FROM events AS e;

-- One resource as its GET answers it now; null when it is gone.
CREATE FUNCTION resource_json(subject_type text, subject_id uuid) RETURNS json
LANGUAGE sql STABLE AS $$
SELECT CASE subject_type
    WHEN 'vm' THEN (SELECT to_json(r) FROM vm_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'operation' THEN (SELECT to_json(r) FROM operation_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'host' THEN (SELECT to_json(r) FROM host_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'storage_pool' THEN (SELECT to_json(r) FROM storage_pool_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'storage_object' THEN (SELECT to_json(r) FROM storage_object_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'boot_source' THEN (SELECT to_json(r) FROM boot_source_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'transfer' THEN (SELECT to_json(r) FROM transfer_resources AS r WHERE r.id = resource_json.subject_id)
    WHEN 'orphan' THEN (SELECT to_json(r) FROM orphan_resources AS r WHERE r.vm_id = resource_json.subject_id LIMIT 1)
END
$$;

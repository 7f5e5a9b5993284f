-- Everything the control plane remembers.
-- Times and leases are this database's clock. Sizes are bytes.

CREATE TABLE hosts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT hosts_name_taken UNIQUE,
    address text NOT NULL,
    port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    host_user text NOT NULL,
    -- what an operator wants: in placement or out of it
    admitted boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'down'
        CHECK (status IN ('unknown', 'down', 'installing', 'installation_failed', 'initializing', 'up')),
    status_reason text,
    -- whether its node answers; kept apart from `status`, for a host taken out of placement is still watched
    reachable boolean NOT NULL DEFAULT false,
    -- who answered there first; another one is misidentified
    node_id text,
    boot_id text,
    versions jsonb NOT NULL DEFAULT '{}',
    drivers jsonb NOT NULL DEFAULT '[]',
    -- the names of those that can be used, for placement
    usable_drivers text [] NOT NULL DEFAULT '{}',
    cpus integer NOT NULL DEFAULT 0,
    memory_bytes bigint NOT NULL DEFAULT 0,
    -- the sum of the claims of its VMs, changed in the transaction of the claim
    allocated_vcpus integer NOT NULL DEFAULT 0 CHECK (allocated_vcpus >= 0),
    allocated_memory_bytes bigint NOT NULL DEFAULT 0 CHECK (allocated_memory_bytes >= 0),
    last_seen_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT hosts_address_taken UNIQUE (address, port)
);

CREATE TABLE storage_pools (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT storage_pools_name_taken UNIQUE,
    pool_type text NOT NULL CHECK (pool_type IN ('local', 'nfs')),
    config jsonb NOT NULL DEFAULT '{}',
    capacity_bytes bigint,
    allocated_bytes bigint NOT NULL DEFAULT 0 CHECK (allocated_bytes >= 0),
    host_id uuid CONSTRAINT storage_pools_host_known REFERENCES hosts (id),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'error')),
    status_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE storage_objects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    storage_pool_id uuid NOT NULL CONSTRAINT storage_objects_pool_known REFERENCES storage_pools (id),
    object_type text NOT NULL CHECK (object_type IN ('disk', 'kernel', 'initrd', 'iso', 'snapshot')),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    config jsonb NOT NULL DEFAULT '{}',
    parent_id uuid CONSTRAINT storage_objects_parent_known REFERENCES storage_objects (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT storage_objects_name_taken UNIQUE (storage_pool_id, name)
);
CREATE INDEX storage_objects_by_parent ON storage_objects (parent_id);

CREATE TABLE transfers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    source text NOT NULL,
    object_type text NOT NULL CHECK (object_type IN ('disk', 'kernel', 'initrd', 'iso', 'snapshot')),
    transfer_type text NOT NULL CHECK (transfer_type IN ('download', 'local_copy')),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    storage_pool_id uuid NOT NULL CONSTRAINT transfers_pool_known REFERENCES storage_pools (id),
    storage_object_id uuid REFERENCES storage_objects (id) ON DELETE SET NULL,
    host_id uuid REFERENCES hosts (id) ON DELETE SET NULL,
    sha256 text,
    total_bytes bigint,
    transferred_bytes bigint NOT NULL DEFAULT 0,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX transfers_one_in_flight ON transfers (storage_pool_id, name)
    WHERE status IN ('pending', 'running');

CREATE TABLE boot_sources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT boot_sources_name_taken UNIQUE,
    description text,
    kernel_image_id uuid NOT NULL CONSTRAINT boot_sources_kernel_known REFERENCES storage_objects (id),
    initrd_image_id uuid CONSTRAINT boot_sources_initrd_known REFERENCES storage_objects (id),
    kernel_params text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX boot_sources_by_kernel ON boot_sources (kernel_image_id);
CREATE INDEX boot_sources_by_initrd ON boot_sources (initrd_image_id);

CREATE TABLE vms (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT vms_name_taken UNIQUE,
    description text,
    hypervisor text NOT NULL CHECK (hypervisor IN ('cloud_hv')),
    -- what the client limited placement to, and what it was placed on
    wanted_driver text CHECK (wanted_driver IN ('cloud_hypervisor', 'qemu', 'simulated')),
    driver text CHECK (driver IN ('cloud_hypervisor', 'qemu', 'simulated')),
    -- the last observation; `unknown` for an unreachable host is derived when read
    status text NOT NULL DEFAULT 'unknown'
        CHECK (status IN ('unknown', 'created', 'running', 'paused', 'shutdown')),
    status_reason text,
    observed_generation bigint NOT NULL DEFAULT 0,
    -- digests of the spec that its node was told last, and of the one that it keeps: two are drift
    told_digest text,
    observed_digest text,
    host_id uuid NOT NULL CONSTRAINT vms_host_known REFERENCES hosts (id),
    boot_vcpus integer NOT NULL CHECK (boot_vcpus BETWEEN 1 AND max_vcpus),
    max_vcpus integer NOT NULL,
    cpu_topology jsonb,
    kvm_hyperv boolean NOT NULL DEFAULT false,
    memory_size bigint NOT NULL CHECK (memory_size > 0),
    memory_hotplug_size bigint,
    memory_hugepages boolean NOT NULL DEFAULT false,
    memory_hugepage_size bigint,
    memory_mergeable boolean NOT NULL DEFAULT false,
    memory_prefault boolean NOT NULL DEFAULT false,
    memory_shared boolean NOT NULL DEFAULT false,
    memory_thp boolean NOT NULL DEFAULT true,
    boot_source_id uuid CONSTRAINT vms_boot_source_known REFERENCES boot_sources (id),
    networks jsonb NOT NULL DEFAULT '[]',
    config jsonb,
    autostart boolean NOT NULL DEFAULT false,
    protected boolean NOT NULL DEFAULT false,
    stop_grace_seconds integer CHECK (stop_grace_seconds BETWEEN 0 AND 3600),
    started_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vms_by_host ON vms (host_id);
CREATE INDEX vms_by_boot_source ON vms (boot_source_id);
CREATE INDEX vms_by_age ON vms (created_at, id);

CREATE TABLE vm_disks (
    vm_id uuid NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
    position integer NOT NULL,
    storage_object_id uuid NOT NULL CONSTRAINT vm_disks_object_known REFERENCES storage_objects (id),
    readonly boolean NOT NULL DEFAULT false,
    image_type text NOT NULL DEFAULT 'raw' CHECK (image_type IN ('raw', 'qcow2')),
    PRIMARY KEY (vm_id, position)
);
CREATE INDEX vm_disks_by_object ON vm_disks (storage_object_id);

-- Why a VM is where it is: each host, each rule, the numbers, the verdict.
CREATE TABLE placements (
    vm_id uuid PRIMARY KEY REFERENCES vms (id) ON DELETE CASCADE,
    decided_at timestamptz NOT NULL DEFAULT now(),
    decision jsonb NOT NULL
);

-- One action in flight or finished.
CREATE TABLE operations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subject_type text NOT NULL CHECK (subject_type IN ('vm', 'host', 'storage_pool', 'storage_object', 'transfer')),
    subject_id uuid NOT NULL,
    subject_name text NOT NULL,
    action text NOT NULL,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    actor text NOT NULL,
    request_id text NOT NULL,
    parameters jsonb NOT NULL DEFAULT '{}',
    progress jsonb,
    outcome text,
    reason text,
    cancel_requested boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    deadline_at timestamptz,
    ended_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX operations_one_in_flight ON operations (subject_type, subject_id) WHERE status = 'running';
CREATE INDEX operations_by_subject ON operations (subject_id, started_at DESC);
CREATE INDEX operations_by_age ON operations (started_at, id);

-- The flight recorder. `sequence` grows in the order of commits: whoever inserts holds
-- the advisory lock 'qarax events' until its commit, and inserts last.
CREATE TABLE events (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    subject_type text NOT NULL,
    subject_id uuid NOT NULL,
    subject_name text NOT NULL,
    -- the resource as its GET gives it
    before json,
    after json,
    message text NOT NULL
);
CREATE INDEX events_by_subject ON events (subject_id, sequence);
CREATE INDEX events_by_time ON events (occurred_at);

CREATE TABLE idempotency_keys (
    key text NOT NULL,
    actor text NOT NULL,
    route text NOT NULL,
    body_digest text NOT NULL,
    -- null while the first request runs
    answer_status integer,
    answer_headers jsonb,
    answer_body text,
    subject_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Deletions of VMs whose host was away: the node is told when it returns.
CREATE TABLE tombstones (
    vm_id uuid PRIMARY KEY,
    host_id uuid NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- VMs a node has and this database does not know. Shown, never touched unasked.
CREATE TABLE orphans (
    host_id uuid NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    vm_id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    ignored boolean NOT NULL DEFAULT false,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, vm_id)
);

-- The one lease: who may change things, until when, with which fencing number.
CREATE TABLE lease (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    holder text NOT NULL,
    fence bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

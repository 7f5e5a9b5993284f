-- The SSH key that a host showed at its first deployment, as a line of known_hosts has it (type, then base64).
-- From then on nobody else is logged into there; only an operator changes it.

ALTER TABLE hosts ADD COLUMN ssh_host_key text;

CREATE OR REPLACE VIEW host_resources AS
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
    h.updated_at,
    h.ssh_host_key
FROM hosts AS h;

-- A local pool that names no host is meant on every host, but what is brought or made there is on one of them:
-- the object says on which, and the transfer which host brings it.

ALTER TABLE storage_objects
-- null: wherever its pool is
ADD COLUMN host_id uuid CONSTRAINT storage_objects_host_known REFERENCES hosts (id);

CREATE INDEX storage_objects_by_host ON storage_objects (host_id);
CREATE INDEX storage_objects_by_age ON storage_objects (created_at, id);
CREATE INDEX transfers_by_pool ON transfers (storage_pool_id, created_at, id);

CREATE OR REPLACE VIEW storage_object_resources AS
SELECT
    o.id,
    o.name,
    o.storage_pool_id,
    o.object_type,
    o.size_bytes,
    o.config,
    o.parent_id,
    o.created_at,
    o.updated_at,
    o.host_id
FROM storage_objects AS o;

CREATE OR REPLACE VIEW transfer_resources AS
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
    t.updated_at,
    t.host_id
FROM transfers AS t;

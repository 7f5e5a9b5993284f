-- One resource as its GET answers it now; null when it is gone or of no known kind.
-- In plpgsql each branch is planned once per connection: every event of every transaction comes through here.

CREATE OR REPLACE FUNCTION resource_json(subject_type text, subject_id uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE subject_type
        WHEN 'vm' THEN
            RETURN (SELECT to_json(r) FROM vm_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'operation' THEN
            RETURN (SELECT to_json(r) FROM operation_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'host' THEN
            RETURN (SELECT to_json(r) FROM host_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'storage_pool' THEN
            RETURN (SELECT to_json(r) FROM storage_pool_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'storage_object' THEN
            RETURN (SELECT to_json(r) FROM storage_object_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'boot_source' THEN
            RETURN (SELECT to_json(r) FROM boot_source_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'transfer' THEN
            RETURN (SELECT to_json(r) FROM transfer_resources AS r WHERE r.id = resource_json.subject_id);
        WHEN 'orphan' THEN
            RETURN (SELECT to_json(r) FROM orphan_resources AS r WHERE r.vm_id = resource_json.subject_id LIMIT 1);
        ELSE
            RETURN NULL;
    END CASE;
END
$$;

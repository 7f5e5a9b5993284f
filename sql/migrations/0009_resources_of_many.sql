-- Resources of one kind as their GETs answer them now, for the history of changes to many at once: one plan and one
-- scan for all of them, where resource_json takes one for each. Planned once per connection, whatever their number.

CREATE FUNCTION resources_json(subject_type text, ids uuid [])
RETURNS TABLE (id uuid, document json)
LANGUAGE plpgsql STABLE ROWS 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    CASE subject_type
        WHEN 'vm' THEN
            RETURN QUERY SELECT r.id, to_json(r) FROM vm_resources AS r WHERE r.id = ANY(ids);
        WHEN 'operation' THEN
            RETURN QUERY SELECT r.id, to_json(r) FROM operation_resources AS r WHERE r.id = ANY(ids);
        WHEN 'host' THEN
            RETURN QUERY SELECT r.id, to_json(r) FROM host_resources AS r WHERE r.id = ANY(ids);
        ELSE
            RETURN QUERY SELECT s.id, resource_json(subject_type, s.id) FROM unnest(ids) AS s (id);
    END CASE;
END
$$;

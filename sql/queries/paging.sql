-- name: whole
-- Each row of a list as JSON text, in its order; one text of all of them would grow each connection's buffer for good.
-- `store/paging.py` fills in rows and order.
WITH listed AS NOT MATERIALIZED (
    {rows}
)

SELECT to_json(page)::text AS body
FROM (SELECT * FROM listed ORDER BY {order}) AS page;

-- name: page
-- So many rows of it after a key. With an index on the key its cost is the same at any depth; the total is counted.
WITH listed AS NOT MATERIALIZED (
    {rows}
)

SELECT
    coalesce(json_agg(page), '[]')::text AS body,
    (SELECT count(*) FROM listed) AS total,
    json_agg(json_build_array({key})) -> (%(limit)s::integer - 1) AS last_key
FROM (SELECT * FROM listed WHERE {after} ORDER BY {order} LIMIT %(limit)s::integer) AS page;

"""The registry of everything that Prometheus reads at `/metrics`; it imports nothing of ours.

Whoever measures something says so here, so that one page shows all there is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

REQUESTS = Counter(
    "qarax_http_requests", "Answered requests.", ["method", "route", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "qarax_http_request_seconds",
    "From the request's headers to its answer.",
    ["method", "route"],
    registry=REGISTRY,
)
NODE_CALL_SECONDS = Histogram(
    "qarax_node_call_seconds", "A call to a node and back.", ["call", "outcome"], registry=REGISTRY
)
EVENT_LAG_SECONDS = Gauge(
    "qarax_event_lag_seconds",
    "From an event to its hand-over to subscribers, of the newest.",
    registry=REGISTRY,
)
TASKS = Gauge("qarax_tasks", "What this server is at, requests and streams included.", registry=REGISTRY)
RESOURCES = Gauge(
    "qarax_resources",
    "Hosts, VMs, transfers and operations by status.",
    ["kind", "status"],
    registry=REGISTRY,
)


@contextlib.contextmanager
def node_call(name: str) -> Iterator[None]:
    """Measure one call to a node; an error's class is its outcome."""
    began, outcome = time.monotonic(), "ok"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        NODE_CALL_SECONDS.labels(name, outcome).observe(time.monotonic() - began)

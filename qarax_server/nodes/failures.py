"""gRPC's status words become the control plane's errors, in one place.

A node that refuses says so in its own sentence (status detail), with a code and perhaps a field in the
trailing metadata. What has no such code comes from the connection: there the outcome is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from qarax_server.errors import (
    Conflict,
    Invalid,
    NodeTimeout,
    NodeUnavailable,
    NotFound,
    OlderFence,
    QaraxError,
)

REFUSALS: dict[grpc.StatusCode, type[QaraxError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Invalid,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Invalid,
    grpc.StatusCode.ABORTED: OlderFence,
    grpc.StatusCode.UNAVAILABLE: NodeUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: NodeTimeout,
    grpc.StatusCode.CANCELLED: NodeTimeout,
}


@contextmanager
def translated(host_name: str) -> Iterator[None]:
    """Raise the control plane's error for a call to a host that ended badly."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_status(error, host_name) from error
    except asyncio.CancelledError as error:
        # a call whose channel was closed under it ends like this too, though nobody cancelled its task
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise NodeTimeout(
            f"the connection to the node of host {host_name} was given up during the call"
        ) from error


def from_status(error: grpc.aio.AioRpcError, host_name: str) -> QaraxError:
    """Map one failed call."""
    trailing = {str(key): str(value) for key, value in (error.trailing_metadata() or ())}
    code, field = trailing.get("qarax-code"), trailing.get("qarax-field")
    sentence = error.details() or error.code().name.lower()
    if code is None:
        return _from_connection(error, host_name, sentence)
    kind = REFUSALS.get(error.code(), NodeUnavailable)
    return kind(sentence, code=code, errors={field: [sentence]} if field else None)


def is_refusal(error: QaraxError) -> bool:
    """Tell whether the node itself said no, so that nothing was done; else the outcome is not known."""
    return isinstance(error, Invalid | Conflict | NotFound | OlderFence) or (
        isinstance(error, NodeUnavailable) and error.code != NodeUnavailable.code
    )


def _from_connection(error: grpc.aio.AioRpcError, host_name: str, sentence: str) -> QaraxError:
    if error.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}:
        return NodeTimeout(
            f"the node of host {host_name} did not answer in time; what became of it shows later"
        )
    if error.code() in REFUSALS and error.code() is not grpc.StatusCode.UNAVAILABLE:
        return REFUSALS[error.code()](f"host {host_name}: {sentence}")
    return NodeUnavailable(f"the node of host {host_name} is away: {sentence}")

"""The one place where the node's errors become gRPC statuses, with code and field as trailing metadata."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import logging
from typing import TYPE_CHECKING

import grpc

from qarax_node.errors import NodeError
from qarax_node.keeper_client import KeeperError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    Context = grpc.aio.ServicerContext[Any, Any]

LOGGER = logging.getLogger(__name__)
STATUSES = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "state": grpc.StatusCode.FAILED_PRECONDITION,
    "exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "timeout": grpc.StatusCode.DEADLINE_EXCEEDED,
    "missing": grpc.StatusCode.NOT_FOUND,
    "exists": grpc.StatusCode.ALREADY_EXISTS,
    "fenced": grpc.StatusCode.ABORTED,
}
KEEPER_KINDS = {"held": "state", "no_console": "state", "running": "state", "spawn_failed": "invalid"}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


@contextlib.asynccontextmanager
async def translated(context: Context, call: str) -> AsyncIterator[None]:
    """Carry the request id into the log, and end the call with the right status."""
    metadata = dict(context.invocation_metadata() or ())
    request_id.set(str(metadata.get("x-request-id", ""))[:100])
    try:
        yield
    except NodeError as error:
        await _abort(context, call, error)
    except KeeperError as error:
        kind = KEEPER_KINDS.get(error.code, "unavailable")
        await _abort(context, call, NodeError(str(error), code=error.code, kind=kind))
    except OSError as error:
        kind = "exhausted" if error.errno in NO_ROOM else "unavailable"
        sentence = f"the host refused: {error.strerror or error} ({error.filename or 'no file'})"
        await _abort(context, call, NodeError(sentence, code="host_failed", kind=kind))


async def _abort(context: Context, call: str, error: NodeError) -> None:
    LOGGER.info("%s refused: %s (%s)", call, error, error.code)
    trailing = (("qarax-code", error.code), ("qarax-field", error.field))
    await context.abort(STATUSES[error.kind], _printable(str(error)), tuple(t for t in trailing if t[1]))


def _printable(sentence: str) -> str:
    """A status detail that gRPC can carry, whatever a hypervisor said."""
    return sentence.encode("utf-8", "replace").decode()[:2000]

"""Who may call: a control plane with a certificate of the CA that this node trusts, and nobody else.

TLS itself lets in only certificates of that CA with the purpose *client*, which nodes' do not have; each call
is then held to the name of a control plane as well. Without certificates the node stays on loopback, where
the machine's own users are let in.
"""

from __future__ import annotations

import inspect
import ipaddress
import logging
import ssl
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Details = grpc.HandlerCallDetails
    Handler = grpc.RpcMethodHandler[Any, Any] | None
    Continuation = Callable[[Details], Awaitable[Handler]]

LOGGER = logging.getLogger(__name__)
SERVER_URI = b"qarax://server"
CA, CERTIFICATE, KEY = "ca.pem", "certificate.pem", "key.pem"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
READABLE_BY_ALL = 0o004


def credentials(directory: Path) -> grpc.ServerCredentials:
    """What the server listens with. Raises OSError for files that are not there or not fit."""
    key = directory / KEY
    if key.stat().st_mode & READABLE_BY_ALL:
        raise OSError(f"{key} can be read by everybody: chmod 600 {key}")
    texts = [(directory / name).read_bytes() for name in (KEY, CERTIFICATE, CA)]
    try:
        # gRPC would say nothing but that it cannot listen
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / CERTIFICATE, key)
        context.load_verify_locations(directory / CA)
    except ssl.SSLError as error:
        raise OSError(
            f"{CERTIFICATE}, {KEY} and {CA} in {directory} are no PEM files that belong together "
            f"({error.reason or error}): copy there what qarax-server ca issue made"
        ) from error
    return grpc.ssl_server_credentials(
        [(texts[0], texts[1])], root_certificates=texts[2], require_client_auth=True
    )


def check_listener(host: str, directory: Path | None) -> None:
    """Refuse to listen beyond loopback without TLS: whoever reaches the port would be root here."""
    if directory is None and not _is_loopback(host):
        raise OSError(
            f"--host {host} is beyond loopback and there is no --tls-directory: anyone could drive this "
            "host. Make certificates with `qarax-server ca issue HOST`, or listen on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ControlPlaneOnly(grpc.aio.ServerInterceptor):
    """Refuses every call whose certificate does not name a control plane."""

    async def intercept_service(self, continuation: Continuation, handler_call_details: Details) -> Handler:
        handler = await continuation(handler_call_details)
        return handler and _guarded(handler, handler_call_details.method)


def _guarded(handler: Any, method: str) -> Any:
    """The same handler behind a look at the caller's certificate."""
    changes = {kind: _checked(getattr(handler, kind), method) for kind in KINDS if getattr(handler, kind)}
    return handler._replace(**changes)


def _checked(serve: Any, method: str) -> Any:
    if inspect.isasyncgenfunction(serve):

        async def stream(request: Any, context: Any) -> Any:
            await _check(context, method)
            async for answer in serve(request, context):
                yield answer

        return stream

    async def call(request: Any, context: Any) -> Any:
        await _check(context, method)
        return await serve(request, context)

    return call


async def _check(context: Any, method: str) -> None:
    if SERVER_URI not in context.auth_context().get("x509_subject_alternative_name", ()):
        LOGGER.warning("%s refused to %s: its certificate is no control plane's", method, context.peer())
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this certificate is no control plane's")

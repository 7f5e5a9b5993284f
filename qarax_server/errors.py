"""The control plane's one error tree.

Raised where the rule lives, in the operator's words; `qarax_server.api` turns it into HTTP in one place.
A message says what, where, which rule and what to do; `errors` holds one list of sentences per field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED = 5


class QaraxError(Exception):
    """The root; on its own it is a defect of the program.

    Attributes:
        code: stable snake_case word for clients.
        message: sentences for the operator.
        errors: field → sentences, empty when no field is at fault.
        details: further members of the answer's body, e.g. `operation` or `placement`.
    """

    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: Mapping[str, Sequence[str]] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.errors = {name: list(sentences) for name, sentences in (errors or {}).items()}
        self.details = dict(details or {})


class BadRequest(QaraxError):
    """The request cannot be read at all (not JSON, a broken cursor): HTTP 400."""

    code = "bad_request"


class Unauthorized(QaraxError):
    """No token, or one that is not valid: HTTP 401."""

    code = "unauthorized"


class Forbidden(QaraxError):
    """The caller is known and may not do this: HTTP 403."""

    code = "forbidden"


class NotFound(QaraxError):
    """No such id: HTTP 404."""

    code = "not_found"


class Conflict(QaraxError):
    """A name is taken, something is in use, or the state does not allow it: HTTP 409."""

    code = "conflict"


class Busy(Conflict):
    """Another operation is in the way; `details["operation"]` is it: HTTP 409."""

    code = "busy"


class InUse(Conflict):
    """What others need stays; the message names the first of them and counts the rest: HTTP 409."""

    code = "in_use"

    def __init__(self, what: str, users: Sequence[str]) -> None:
        more = f" and {len(users) - _NAMED:,} more" if len(users) > _NAMED else ""
        super().__init__(f"{what} is in use: {', '.join(users[:_NAMED])}{more}")


class TooLarge(QaraxError):
    """The body is over the limit: HTTP 413."""

    code = "body_too_large"


class TooSlow(QaraxError):
    """The body does not arrive in time: HTTP 408."""

    code = "body_too_slow"


class Invalid(QaraxError):
    """A field or a rule is violated: HTTP 422."""

    code = "invalid"


class TooManyRequests(QaraxError):
    """A limit on requests or streams is reached: HTTP 429 with Retry-After.

    Attributes:
        retry_after: seconds after which trying again makes sense.
    """

    code = "too_many_requests"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(QaraxError):
    """Something this request needs is away; trying again later helps: HTTP 503 with Retry-After.

    Attributes:
        retry_after: seconds after which trying again makes sense.
    """

    code = "unavailable"
    retry_after = 2


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer, or not in time."""

    code = "database_unavailable"


class NodeUnavailable(Unavailable):
    """The node of a host does not answer, or is degraded."""

    code = "node_unavailable"
    retry_after = 5


class NodeUntrusted(NodeUnavailable):
    """Who answers at a host's address cannot be shown to be its node: nothing was asked of it."""

    code = "node_untrusted"


class HostAccessError(QaraxError):
    """A host cannot be logged into over SSH, or what was run there failed; it ends up in an operation."""

    code = "host_access"


class NotActive(Unavailable):
    """This server is the standby: it serves reads and changes nothing."""

    code = "not_active"


class NodeTimeout(QaraxError):
    """The node did not answer within the deadline: the outcome is unknown, not a failure: HTTP 504."""

    code = "node_timeout"


class OlderFence(NotActive):
    """A node has seen a newer fencing number: another server is the active one."""

    code = "older_fence"


class MigrationError(QaraxError):
    """The schema in the database does not fit this program."""

    code = "migration"


class SettingsError(QaraxError):
    """A configuration file, key or value is wrong; the message names it."""

    code = "settings"

"""What can go wrong between the dashboard and the control plane, in sentences an operator can act on.

Every error of this package is a `ClientError`; the app turns it into a toast or a field message in one
place. Sentences are already safe to show (see `sanitise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Something the operator should read: `sentence` says what happened, `fix` what to do about it."""

    def __init__(self, sentence: str, fix: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.fix = fix


class ServerAway(ClientError):  # noqa: N818 - a state of the world, named as the operator would
    """No answer: refused, cut off, past its deadline, or not an answer of a control plane."""


class ReadOnly(ClientError):  # noqa: N818 - as above
    """The dashboard is in read-only mode; nothing but GET leaves it."""


class SettingsError(ClientError):
    """The address or the token cannot be used as given."""


class ApiError(ClientError):
    """The control plane refused.

    `status` is the HTTP status, `code` the stable word of the contract ("" when it gave none), `errors` the
    messages per field, `retry_after` seconds or None; `body` is the whole answer, for what a refusal adds to
    it (`placement`, `operation`).
    """

    def __init__(
        self,
        sentence: str,
        status: int,
        *,
        code: str = "",
        errors: Mapping[str, tuple[str, ...]] | None = None,
        request_id: str = "",
        fix: str = "",
        retry_after: float | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence, fix)
        self.status = status
        self.code = code
        self.errors = dict(errors or {})
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = dict(body or {})

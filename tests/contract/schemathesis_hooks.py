"""What schemathesis cannot know by itself: an id comes as bare text, and a key is for one request."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis


@schemathesis.deserializer("text/plain")
def plain_text(context: Any, response: Any) -> Any:
    """The text is the value."""
    del context
    return response.content.decode("utf-8", "replace")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A key that was used before would be answered as then: with an id that is gone by now, perhaps."""
    del context, kwargs
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex

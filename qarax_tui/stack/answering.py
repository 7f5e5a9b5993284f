"""Whether a server of this machine answers."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request


def answers_ok(url: str) -> bool:
    """Whether a GET of our own loopback address gives 200; what speaks no HTTP does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP OK
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False

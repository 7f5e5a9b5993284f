"""aiohttp, without the machine's certificates, which it loads twice when it is imported.

That takes as long as the rest of it, and a control plane on this machine has none. A session with an
https:// address brings a context of its own (`transport`); one that forgot to would trust nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["aiohttp"]

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for certificates, in place of where the distribution keeps them."""


@contextmanager
def _no_certificates() -> Iterator[None]:
    kept = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, place in kept.items():
            if place is None:
                del os.environ[name]
            else:
                os.environ[name] = place


with _no_certificates():
    import aiohttp

"""aiohttp, imported when the first request wants it, and without the machine's certificates.

Importing it takes half as long as the terminal library, and the first rows do without it (`first_rows`).
The certificates, which it would load twice, take as long as the rest of it, and a control plane on this
machine has none. A session with an https:// address brings a context of its own (`transport`); one that
forgot to would trust nobody.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp as aiohttp  # noqa: PLC0414 - what others take from here

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for certificates, in place of where the distribution keeps them."""
_loading = Lock()  # the environment is one for all threads


def load() -> Any:
    """Import it, in whatever thread; at once the second time."""
    with _loading:
        if "aiohttp" not in globals():
            with _no_certificates():
                import aiohttp  # noqa: PLC0415 - see above
            globals()["aiohttp"] = aiohttp
    return globals()["aiohttp"]


def __getattr__(name: str) -> Any:
    if name == "aiohttp":
        return load()
    raise AttributeError(name)


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

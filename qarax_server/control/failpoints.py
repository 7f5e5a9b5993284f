"""Places where a test lets the server die, to see that nothing is lost there.

`QARAX_FAILPOINT=<name>` in the environment kills the process when it gets there, as `kill -9` would. The
names are the strings given to `reach`.
"""

from __future__ import annotations

import os
import signal

_CHOSEN = os.environ.get("QARAX_FAILPOINT", "")


def reach(name: str) -> None:
    """Die here when this place was chosen."""
    if name == _CHOSEN:
        os.kill(os.getpid(), signal.SIGKILL)

"""The clipboard inside tmux, which by default takes no text from programs by OSC 52.

tmux keeps the text as its newest buffer and hands it on to the terminal outside (`set-clipboard`).
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from functools import partial

logger = logging.getLogger("qarax")

_COMMAND = ("tmux", "load-buffer", "-w", "-")
_SECONDS = 5


async def to_tmux(text: str) -> None:
    """Gives the text to the tmux server that `$TMUX` names; what goes wrong is in the log."""
    run = partial(subprocess.run, _COMMAND, capture_output=True, timeout=_SECONDS, check=True)
    try:
        await asyncio.to_thread(run, input=text.encode())
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("tmux was not told what was copied: %s", error)

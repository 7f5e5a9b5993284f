"""The clipboard inside tmux, which by default takes no text from programs by OSC 52.

tmux keeps the text as its newest buffer and hands it on to the terminal outside (`set-clipboard`).
"""

from __future__ import annotations

import asyncio
import logging

logger = logging.getLogger("qarax")


async def to_tmux(text: str) -> None:
    """Gives the text to the tmux server that `$TMUX` names; what goes wrong is in the log."""
    pipe = asyncio.subprocess.PIPE
    try:
        tmux = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-", stdin=pipe, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        logger.warning("tmux was not told what was copied: %s", error)
        return
    _, complaint = await tmux.communicate(text.encode())
    if tmux.returncode:
        logger.warning("tmux was not told what was copied: %s", complaint.decode(errors="replace").strip())

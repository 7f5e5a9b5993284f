"""The commands of the README's walkthrough, and a shell to run them in as a reader would."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
SECTION = "## The API, step by step\n"
FAIL_LOUDLY = 'set -eu; curl() { command curl --silent --show-error --fail-with-body "$@"; }; '


def commands() -> list[str]:
    """Every curl command of the section's fenced blocks, in order, continuation lines included."""
    text = README.read_text(encoding="utf-8").partition(SECTION)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [each for block in blocks for each in re.split(r"^(?=curl )", block, flags=re.MULTILINE) if each]


@dataclass
class Reader:
    """Types commands, with addresses and paths put right for where it is, and keeps the ids it is told."""

    instead: Mapping[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    async def type(self, command: str, until: str = "") -> str:
        """Run a command that must succeed; `until`: end an endless one once it has printed this."""
        for there, here in self.instead.items():
            command = command.replace(there, here)
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            FAIL_LOUDLY + command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | self.ids,
            start_new_session=True,
        )
        assert process.stdout is not None
        printed = ""
        async with asyncio.timeout(30):
            while not until or until not in printed:
                chunk = await process.stdout.read(65536)
                if not chunk:
                    break
                printed += chunk.decode()
        if until:
            assert until in printed, (command, printed)
            os.killpg(process.pid, 15)
            await process.wait()
            return printed
        assert await process.wait() == 0, (command, printed)
        return printed

"""The guest of a simulated VM: a boot log, and a shell that echoes what is typed and does what it is told.

`echo TEXT`, `poweroff`, `reboot`, `panic` and `crash` (of the hypervisor) are its commands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from qarax_node.drivers.base import MachineSpec

PROMPT = b"# "
LINE_END = re.compile(rb"\r\n|\r|\n")
OF_THE_VM = (b"poweroff", b"reboot", b"panic", b"crash")
BOOT_LOG = """\
[    0.000000] Linux version 0.0-simulated ({name})
[    0.000000] Command line: {cmdline}
[    0.004000] smpboot: Allowing {vcpus} CPUs
[    0.011000] Memory: {memory_kib}K available
[    0.120000] Run /init as init process
qarax: simulated guest {name} is up
# """


def boot_log(spec: MachineSpec) -> bytes:
    """What the guest prints when it starts, its first prompt included."""
    text = BOOT_LOG.format(
        name=spec.name, cmdline=spec.cmdline, vcpus=spec.boot_vcpus, memory_kib=spec.memory_size >> 10
    )
    return text.encode()


class Shell:
    """One line at a time; `do` is called with the words for which the guest needs its VM."""

    def __init__(self, write: Callable[[bytes], None], do: Callable[[str], None]) -> None:
        self._write = write
        self._do = do
        self._line = b""

    def type(self, data: bytes) -> None:
        """Echo what is typed; at the end of a line do it."""
        *lines, rest = LINE_END.split(data)
        for line in lines:
            self._write(line + b"\r\n")
            whole, self._line = self._line + line, b""
            self._enter(whole.split())
        if rest:
            self._line += rest
            self._write(rest)

    def _enter(self, words: list[bytes]) -> None:
        if words[:1] == [b"echo"]:
            self._write(b" ".join(words[1:]) + b"\r\n")
        elif words and words[0] in OF_THE_VM:
            self._do(words[0].decode())
            return
        elif words:
            self._write(b"sh: " + words[0] + b": not found\r\n")
        self._write(PROMPT)

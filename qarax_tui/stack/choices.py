"""What can be chosen on the command line, and what is chosen when nothing is said."""

from __future__ import annotations

from typing import Final

DRIVERS: Final = ("auto", "cloud_hypervisor", "qemu", "simulated")
SERVER_PORT: Final = 8000
NODE_PORT: Final = 50051
SIMULATED_PORT: Final = 20000
NOT_RUNNING: Final = 3
"""The exit code of `qarax status` when nothing is ready."""

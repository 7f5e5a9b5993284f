"""Builds the protobuf stubs `qarax_proto` from `proto/`; run by the wheel build and by `make proto`."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
PROTO_ROOT = ROOT / "proto"


def build_stubs() -> None:
    """Write `node_pb2*.py` and their type stubs beside `node.proto`."""
    # Imported here: the build environment has it, a plain import of this file need not.
    from grpc_tools import protoc  # noqa: PLC0415

    arguments = [
        "protoc",
        f"--proto_path={PROTO_ROOT}",
        f"--proto_path={importlib.resources.files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={_plugin('protoc-gen-mypy')}",
        f"--plugin=protoc-gen-mypy_grpc={_plugin('protoc-gen-mypy_grpc')}",
        f"--python_out={PROTO_ROOT}",
        f"--grpc_python_out={PROTO_ROOT}",
        f"--mypy_out={PROTO_ROOT}",
        f"--mypy_grpc_out={PROTO_ROOT}",
        *map(str, sorted((PROTO_ROOT / "qarax_proto").glob("*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        message = "protoc refused proto/qarax_proto: see the lines above"
        raise SystemExit(message)
    (PROTO_ROOT / "qarax_proto" / "__init__.py").write_text('"""Built from proto/; do not edit."""\n')
    (PROTO_ROOT / "qarax_proto" / "py.typed").touch()


def _plugin(name: str) -> str:
    """The plugin beside this Python, or on PATH, where pip puts those of an isolated build."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join((str(beside), os.environ.get("PATH", ""))))
    if found is None:
        message = f"{name} is missing: pip install mypy-protobuf"
        raise SystemExit(message)
    return found


class StubsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's way to run `build_stubs` before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the stubs; hatchling collects them as artifacts."""
        del version, build_data
        build_stubs()


if __name__ == "__main__":
    build_stubs()

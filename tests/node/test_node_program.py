"""The program `qarax-node` as a process: help, refusals, signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from qarax_proto import node_pb2, node_pb2_grpc

from tests.ports import free_port

NODE = [sys.executable, "-m", "qarax_node.app"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NODE, *arguments], check=False, capture_output=True, text=True, timeout=30)


def test_help_teaches() -> None:
    said = run("--help")
    assert said.returncode == 0
    for word in ("keeper", "--stand-in", "--runtime-dir", "curl", "console.log"):
        assert word in said.stdout


def test_a_taken_port_is_one_sentence(runtime_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("--driver", "simulated", "--port", str(port), "--runtime-dir", str(runtime_dir))
    assert said.returncode == 1
    last = said.stderr.strip().splitlines()[-1]
    assert last.startswith(f"qarax-node: cannot listen on 127.0.0.1:{port}")
    assert "Traceback" not in said.stderr


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = run("--driver", "simulated", "--port", str(free_port()), "--runtime-dir", str(tmp_path / "file/x"))
    assert said.returncode == 1
    assert said.stderr.startswith("qarax-node: Not a directory")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_several_simulated_hosts_and_leaves_when_told(
    runtime_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    arguments = ["--port", str(port), "--runtime-dir", str(runtime_dir), "--simulated-hosts", "3"]
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen([*NODE, *arguments, "--log-format", "json"], stderr=log)
    try:
        ids = set()
        for place in range(3):
            with grpc.insecure_channel(f"127.0.0.1:{port + place}") as channel:
                described = node_pb2_grpc.NodeStub(channel).Describe(
                    node_pb2.DescribeRequest(), wait_for_ready=True, timeout=20
                )
                ids.add(described.node_id)
                assert described.cpus == 64
        assert len(ids) == 3
        node.send_signal(number)
        assert node.wait(10) == 0
    finally:
        node.kill()
        node.wait()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any("stopping" in line["message"] for line in lines)
    assert {line["level"] for line in lines} == {"INFO"}

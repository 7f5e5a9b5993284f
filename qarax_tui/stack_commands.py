"""`qarax up`, `status` and `down`: what they print. What they do is in `stack/`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from qarax_tui.stack import down as stack_down
from qarax_tui.stack import status as stack_status
from qarax_tui.stack import up as stack_up
from qarax_tui.stack.choices import NOT_RUNNING
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.place import chosen, say_on, state_dir
from qarax_tui.stack.state import StateDirectory


def run_up(options: argparse.Namespace) -> int:
    """`qarax up`."""
    if options.simulated_vms and not options.simulated_hosts:
        raise StackError("--simulated-vms needs --simulated-hosts: VMs live on hosts.")
    wanted = stack_up.Options(
        state_dir=state_dir(options),
        port=options.port,
        node_port=options.node_port,
        driver=options.driver,
        simulated_hosts=options.simulated_hosts,
        simulated_vms=options.simulated_vms,
        simulated_port=options.simulated_port,
        install=not options.no_install,
    )
    outcome = stack_up.up(wanted, say_on(sys.stderr))
    facts = outcome.facts
    print(f"qarax is {'up' if outcome.started else 'already up'}: {facts.get('reason', '')}")
    print(f"  API        {facts['server_url']}")
    print(f"  Swagger    {facts['swagger_url']}")
    print(f"  dashboard  qarax{chosen(options)}      status: qarax status{chosen(options)}")
    print(f"  stop       qarax down{chosen(options)}  (VMs go on; with --vms they are stopped too)")
    return 0


def run_status(options: argparse.Namespace) -> int:
    """`qarax status`."""
    found = stack_status.status(StateDirectory(state_dir(options)))
    if options.output == "json":
        print(json.dumps(found, indent=2))
    else:
        print_status(found)
    return 0 if found["ready"] else NOT_RUNNING


def print_status(found: dict[str, Any]) -> None:
    """The same for people."""
    print(f"{'ready' if found['ready'] else 'not ready'}   {found['server_url'] or '(qarax up starts it)'}")
    if found["reason"]:
        print(f"driver  {found['driver']}: {found['reason']}")
    print(f"VMs     {found['vms_running']} running here")
    print(f"{'process':<10} {'pid':>8} {'port':>6}  log")
    for each in found["processes"]:
        print(f"{each['name']:<10} {each['pid'] or '-':>8} {each['port'] or '-':>6}  {each['log']}")


def run_down(options: argparse.Namespace) -> int:
    """`qarax down`."""
    outcome = stack_down.down(StateDirectory(state_dir(options)), vms=options.vms, say=say_on(sys.stderr))
    print(f"stopped: {', '.join(outcome.stopped)}" if outcome.stopped else "nothing was running")
    if outcome.vms_left:
        vms = "1 VM goes" if outcome.vms_left == 1 else f"{outcome.vms_left} VMs go"
        print(
            f"{vms} on, and the keeper as well: it is their parent and writes their consoles.\n"
            f"`qarax up` takes them up again; qarax down{chosen(options)} --vms stops them."
        )
    return 0

"""The `qarax` command: the dashboard, and the control plane of this machine (`up`, `status`, `down`).

Parses; what is done is in `stack_commands` and in `app`, each imported only when it is wanted: a dashboard
that is to show its first row at once cannot wait for a database library.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qarax_tui.client.errors import ClientError
from qarax_tui.client.first_rows import FirstRows
from qarax_tui.client.settings import load_settings
from qarax_tui.stack.answering import answers_ok
from qarax_tui.stack.choices import DRIVERS, NODE_PORT, NOT_RUNNING, SERVER_PORT, SIMULATED_PORT
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.place import chosen, say_on, state_dir
from qarax_tui.stack.state import StateDirectory, default_path

THEMES = ("dark", "light", "colour-blind", "16")
THIS_MACHINE = "http://this-machine.invalid"  # what the settings say when they name no server
INTERRUPTED = 130
PICTURE_SIZE = (120, 36)
DESCRIPTION = "Virtual machines on a fleet of Linux hosts. Without a command: the dashboard."
EPILOG = """\
examples:
  qarax                          the dashboard; brings a control plane up here when there is none
  qarax up                       the control plane in the background, and the URLs of its API
  qarax --server http://other:8000
                                 the dashboard of another machine's control plane
  qarax --once vms -o json       one list for a script
  qarax down --vms               stop everything, VMs included

Which control plane: --server, else QARAX_SERVER, else `server:` in ~/.config/qarax/config.yaml, else this
machine's. Leaving the dashboard stops nothing.
"""
UP_EPILOG = """\
The state directory holds the database, the guest image, the VMs and all logs. A second call starts what is
missing and leaves the rest alone. Cloud Hypervisor runs the VMs where KVM works; elsewhere QEMU stands in for
it, and says so.
QARAX_CLOUD_HYPERVISOR_URL names a mirror of Cloud Hypervisor's releases. With DATABASE_HOST (and
DATABASE_PORT, _USERNAME, _PASSWORD, _NAME) that PostgreSQL is used and none is started.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what it says, 1 with a sentence when not."""
    os.umask(0o077)
    command_line = parser()
    options = command_line.parse_args(arguments)
    if complaint := ignored(options):
        command_line.error(complaint)
    try:
        status: int = options.run(options)
    except StackError as error:
        print(f"qarax: {error}", file=sys.stderr)
        return 1
    except ClientError as error:
        print(f"qarax: {error.sentence} {error.fix}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qarax: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def parser() -> argparse.ArgumentParser:
    """The command line, with help that teaches."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="qarax", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw)
    top.set_defaults(run=run_dashboard)
    top.add_argument("--server", metavar="URL", help="the control plane to show")
    top.add_argument("--read-only", action="store_true", help="look, and change nothing")
    top.add_argument("--once", metavar="NOUN", help="print one list (vms, hosts, ...) and leave")
    top.add_argument("-o", "--output", choices=["table", "json"], help="the form of --once (default table)")
    top.add_argument("--screenshot", metavar="FILE.svg", help="write the dashboard's picture and leave")
    top.add_argument(
        "--view",
        metavar="NAME",
        help="the view of --screenshot: vms (default), hosts, orphans, vm/NAME, console/NAME, host/NAME, ...",
    )
    top.add_argument("--size", type=size, metavar="WxH", help="its size (default 120x36)")
    top.add_argument("--theme", default="", choices=THEMES, metavar="NAME", help=", ".join(THEMES))
    add_state_dir(top)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    add_up(commands, raw)
    status = commands.add_parser(
        "status",
        help="what runs, and where its logs are",
        description=f"What runs on this machine. Exit code 0 when it is ready, {NOT_RUNNING} when not.",
    )
    status.set_defaults(run=run_stack, command="status")
    status.add_argument("-o", "--output", choices=["table", "json"], default="table")
    add_state_dir(status)
    down = commands.add_parser(
        "down",
        help="stop the control plane; VMs stay",
        description="Stops server, node, keeper and database. VMs go on, and the keeper that is their parent "
        "with them; the next `qarax up` finds them again.",
    )
    down.set_defaults(run=run_stack, command="down")
    down.add_argument("--vms", action="store_true", help="stop the VMs as well, power button first")
    add_state_dir(down)
    return top


def ignored(options: argparse.Namespace) -> str:
    """What was asked for and would not be done, as a sentence; empty when all would."""
    if (options.view or options.size) and not options.screenshot:
        return "--view and --size go with --screenshot FILE.svg"
    if options.once and options.screenshot:
        return "--once or --screenshot, one at a time"
    if options.output and not options.once and "command" not in options:
        return "-o goes with --once NOUN"
    return ""


def add_up(commands: Any, raw: type[argparse.HelpFormatter]) -> None:
    """`qarax up` and its options."""
    up = commands.add_parser(
        "up",
        help="bring the control plane up in the background",
        description="Brings database, keeper, node and server up in the background; returns when ready.",
        epilog=UP_EPILOG,
        formatter_class=raw,
    )
    up.set_defaults(run=run_stack, command="up")
    up.add_argument("--port", type=port, metavar="N", help=f"REST API (default {SERVER_PORT})")
    up.add_argument("--node-port", type=port, metavar="N", help=f"this node (default {NODE_PORT})")
    up.add_argument("--driver", choices=DRIVERS, default="auto", help="what runs the VMs (default: what can)")
    up.add_argument("--simulated-hosts", type=count, default=0, metavar="N", help="add N hosts in memory")
    up.add_argument("--simulated-vms", type=count, default=0, metavar="M", help="and fill them with M VMs")
    up.add_argument(
        "--simulated-port",
        type=port,
        default=SIMULATED_PORT,
        metavar="N",
        help=f"their first port; each has its own (default {SIMULATED_PORT})",
    )
    up.add_argument("--no-install", action="store_true", help="say what is missing instead of installing it")
    add_state_dir(up)


def add_state_dir(command: argparse.ArgumentParser) -> None:
    """`--state-dir`, the same everywhere."""
    command.add_argument(
        "--state-dir",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="D",
        help=f"where everything is kept (default {default_path()})",
    )


def port(text: str) -> int:
    """A TCP port, for argparse."""
    number = int(text)
    if not 1 <= number <= 65535:  # noqa: PLR2004 - what TCP allows
        raise argparse.ArgumentTypeError(f"{number} is no port: 1 to 65535")
    return number


def size(text: str) -> tuple[int, int]:
    """Columns and rows as `120x36`, for argparse."""
    columns, _, rows = text.partition("x")
    if not (columns.isdecimal() and rows.isdecimal() and 20 <= int(columns) <= 500 and 5 <= int(rows) <= 200):  # noqa: PLR2004 - what a picture can hold
        raise argparse.ArgumentTypeError(f"{text} is no size such as 120x36")
    return int(columns), int(rows)


def count(text: str) -> int:
    """Zero or more, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def run_stack(options: argparse.Namespace) -> int:
    """`qarax up`, `status` and `down`."""
    from qarax_tui import stack_commands  # noqa: PLC0415 - with the database library it brings

    status: int = getattr(stack_commands, f"run_{options.command}")(options)
    return status


def run_dashboard(options: argparse.Namespace) -> int:
    """`qarax` without a command."""
    gc.disable()  # the app turns it on again when the first screen stands
    server, notice, ours = find_control_plane(options)
    if options.once:
        from qarax_tui.once import print_list  # noqa: PLC0415 - needs no terminal library

        return print_list(load_settings(server), options.once, options.output or "table")
    settings = load_settings(server)
    first = None if options.screenshot else FirstRows(settings)  # beside the import of the terminal library
    from qarax_tui import app  # noqa: PLC0415 - a terminal library only when a terminal is needed

    if options.screenshot:
        size, view = options.size or PICTURE_SIZE, options.view or "vms"
        return app.screenshot(settings, options.screenshot, size, view, options.theme)
    status = app.run(settings, first, notice=notice, read_only=options.read_only, theme=options.theme)
    if ours and status == 0:
        print(f"The control plane and the VMs go on. To stop: qarax down{chosen(options)}  (--vms: VMs too)")
    return status


def find_control_plane(options: argparse.Namespace) -> tuple[str, str | None, bool]:
    """Its address, what the dashboard should say about it, and whether it is this machine's own.

    Brings one up when none is configured and none runs here.
    """
    configured = load_settings(options.server, local=THIS_MACHINE).server
    if configured != THIS_MACHINE:
        return configured, None, False
    facts = StateDirectory(state_dir(options)).read_facts()
    url = facts.get("server_url")
    if not url or not answers_ok(f"{url}/healthz"):
        if options.once or options.screenshot or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise StackError(f"no control plane runs here. Start it: qarax up{chosen(options)}")
        print("No control plane runs here: bringing one up.", file=sys.stderr)
        from qarax_tui.stack import up  # noqa: PLC0415 - with the database library it brings

        facts = up.up(up.Options(state_dir=state_dir(options)), say_on(sys.stderr)).facts
    return str(facts["server_url"]), facts.get("reason"), True


if __name__ == "__main__":
    sys.exit(main())

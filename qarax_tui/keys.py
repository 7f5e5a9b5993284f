"""The action table: everything a key, a click, a `:` command or the palette can do.

One row per action feeds the bindings, the footer, the help screen, the palette, the `:` completion and the
documentation. Keys are only defaults: `keymap.py` overlays the operator's key file. What an action does is
the method `do_<id>` of the view it applies to, else of the main screen (`screens/main.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

ROOT_VIEWS: Final = ("vms", "hosts", "storage", "boot_sources", "operations", "events", "pulse")
TABLES: Final = frozenset(
    {"vms", "hosts", "storage", "boot_sources", "operations", "events", "actions", "orphans"}
)
VM_VIEWS: Final = frozenset({"vms", "vm", "console"})
EVERYWHERE: Final = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the operator can do.

    `changes` marks what sends anything but GET (off in read-only mode); `dangerous` what asks first.
    `target` is what it needs: "vm" VMs or "row" any rows, marked or else under the cursor; "one" the one
    under the cursor. `statuses` are the VM statuses it makes sense in; `footer` orders the footer, 0 keeps it
    out.
    """

    id: str
    key: str
    label: str
    help: str
    views: frozenset[str] = EVERYWHERE
    changes: bool = False
    dangerous: bool = False
    statuses: frozenset[str] | None = None
    footer: int = 0
    group: str = "Everywhere"
    target: str = ""

    @property
    def command(self) -> str:
        """The word typed after `:`."""
        return self.id.replace("_", "-")

    def applies(self, view: str) -> bool:
        return "*" in self.views or view in self.views


def _about(group: str, *views: str, target: str = "") -> partial[Action]:
    """Rows of one group that apply in these views."""
    return partial(Action, group=group, views=frozenset(views) if views else EVERYWHERE, target=target)


_view = _about("Views")
_vm = _about("Virtual machines", *VM_VIEWS, target="vm")
_vm_list = _about("Virtual machines", "vms", "vm", target="one")
_vm_row = _about("Virtual machines", "vms", target="one")
_creating = _about("Virtual machines", "vms", "vm", "pulse")
_host = _about("Hosts", "hosts", "host", target="row")
_one_host = _about("Hosts", "hosts", "host", target="one")
_host_row = _about("Hosts", "hosts", target="one")
_new_host = _about("Hosts", "hosts")
_storage = _about("Storage", "storage")
_stored = _about("Storage", "storage", target="row")
_orphan = _about("Orphans", "orphans", target="row")
_boot = _about("Boot sources", "boot_sources")
_record = _about("Operations and events", "operations", target="row")
_console = _about("Console", "console")
_list = _about("Lists", *TABLES)
_cut = _about("Lists", "storage", "boot_sources", "orphans", "operations", "events", "actions", target="row")
_seen = _about("Lists", *TABLES, *VM_VIEWS, "host", target="one")
_any = _about("Everywhere")
_STOPPED = frozenset({"created", "shutdown"})
_RUNNING = frozenset({"running"})
_PAUSED = frozenset({"paused"})
_UNKNOWN = frozenset({"unknown"})

ACTIONS: Final[tuple[Action, ...]] = (
    _view("vms", "1", "VMs", "Virtual machines of the whole fleet"),
    _view("hosts", "2", "Hosts", "The machines that run them"),
    _view("storage", "3", "Storage", "Pools, the objects in them, and transfers"),
    _view("boot_sources", "4", "Boot", "Kernels, initrds and command lines"),
    _view("operations", "5", "Operations", "What runs and what ran, with how it ended"),
    _view("events", "6", "Events", "The flight recorder: every change, who and when"),
    _view("pulse", "7", "Pulse", "Counts, load and errors at a glance"),
    _view("orphans", "8", "Orphans", "VMs that a node has and the control plane does not know"),
    _vm("start", "s", "Start", "Start", changes=True, statuses=_STOPPED, footer=20),
    _vm("stop", "x", "Stop", "Power button, then force", changes=True, dangerous=True,
        statuses=_RUNNING | _PAUSED | _UNKNOWN, footer=21),
    _vm("pause", "p", "Pause", "Freeze in memory", changes=True, statuses=_RUNNING, footer=23),
    _vm("resume", "r", "Resume", "Go on after a pause", changes=True, statuses=_PAUSED, footer=22),
    _vm("reboot", "R", "Reboot", "Restart the guest", changes=True, dangerous=True, statuses=_RUNNING,
        footer=25),
    _vm("delete", "D", "Delete", "Remove it for good", changes=True, dangerous=True, footer=26),
    _vm_list("console", "c", "Console", "Its serial console, live", footer=12),
    _vm_row("details", "enter", "Details", "Everything about it", footer=13),
    _creating("create", "n", "New", "Create a VM", changes=True, footer=11),
    _vm_list("edit", "e", "Edit", "Name, size, disks, policies", changes=True, footer=28),
    _vm_list("fork", "f", "Fork", "A create form filled from it", changes=True, footer=27),
    _host_row("host_details", "enter", "Details", "Everything about it", footer=12),
    _one_host("open_host", "v", "Its VMs", "Show the VMs of this host", footer=13),
    _new_host("register", "n", "Register", "Add a host by its address", changes=True, footer=11),
    _host("up", "u", "Up", "Admit it: VMs may be placed there", changes=True, footer=20),
    _host("down", "d", "Down", "Take it out of placement", changes=True, dangerous=True, footer=21),
    _one_host("deploy", "i", "Deploy", "Install or upgrade its agent", changes=True, dangerous=True,
              footer=22),
    _one_host("edit_host", "e", "Edit", "Address, port, SSH user", changes=True, footer=23),
    _host("forget", "D", "Delete", "Forget the host", changes=True, dangerous=True, footer=26),
    _storage("new_pool", "n", "New pool", "Register a storage pool", changes=True, footer=11),
    _storage("add_object", "N", "Add object", "Register a file that is in a pool", changes=True, footer=12),
    _storage("transfer", "t", "Transfer", "Bring a file into a pool", changes=True, footer=13),
    _storage("new_disk", "b", "New disk", "A blank disk, or a copy of one", changes=True, footer=14),
    _stored("cancel_transfer", "x", "Cancel", "Stop a transfer", changes=True, dangerous=True, footer=10),
    _stored("remove", "D", "Delete", "Forget a pool or object", changes=True, dangerous=True, footer=26),
    _boot("new_boot_source", "n", "New", "Name a kernel and its initrd", changes=True, footer=11),
    _boot("delete_boot_source", "D", "Delete", "Forget it", target="row", changes=True, dangerous=True,
          footer=26),
    _orphan("adopt", "t", "Adopt", "Make it a VM again; it goes on as it is", changes=True, footer=11),
    _orphan("ignore", "i", "Ignore", "Leave it as it is", changes=True, footer=12),
    _orphan("delete_orphan", "D", "Delete", "End it and delete it from its node", changes=True,
            dangerous=True, footer=26),
    _about("Operations and events", "operations", "events", "pulse", target="row")(
        "jump", "enter", "Go to", "Show what this row is about", footer=11),
    _record("cancel", "x", "Cancel", "Ask it to stop", changes=True, dangerous=True, footer=12),
    _record("retry", "r", "Retry", "Do the same again", changes=True, footer=13),
    _about("Operations and events", "events")(
        "follow_events", "f", "Follow", "Stay at the newest event", footer=14),
    _console("attach", "i", "Input", "Type into the guest; ctrl+] ends it", changes=True, footer=11),
    _console("follow", "f", "Follow", "Jump to the end and stay there", footer=12),
    _console("search", "slash", "Search", "Find text or /regex/", footer=13),
    _console("next_match", "n", "Next", "Next match"),
    _console("previous_match", "N", "Previous", "Previous match"),
    _console("only_matching", "ampersand", "Only", "Only matching lines", footer=14),
    _console("timestamps", "t", "Times", "When each line arrived", footer=15),
    _console("wrap", "w", "Wrap", "Wrap long lines", footer=16),
    _console("save", "S", "Save", "Write the log to a file", footer=17),
    _list("mark", "space", "Mark", "Mark; actions take all marked", target="row", footer=30),
    _list("mark_all", "a", "Mark all", "Mark every row shown"),
    _list("unmark", "A", "Unmark", "Clear all marks"),
    _list("filter", "slash", "Filter", "text /regex/ !not status= host=", footer=31),
    _list("sort", "o", "Sort", "Sort by the next column", footer=33),
    _list("reverse", "O", "Reverse", "Turn the order round"),
    _cut("whole_row", "v", "Read", "The whole row, with nothing cut short", footer=32),
    _seen("copy", "y", "Copy", "Id, name, curl, JSON, YAML", footer=34),
    _any("back", "escape,backspace", "Back", "One step back: filter, marks, then the view before"),
    _any("leave", "q", "Back or quit", "One step back; from a root view, quit"),
    _any("help", "question_mark", "Help", "The keys of this view", footer=90),
    _any("command", "colon", "Command", "Type a command", footer=91),
    _any("palette", "ctrl+p", "Palette", "Search everything that can be done"),
    _any("actions", "H", "My actions", "What you did here, with the curl for each"),
    _any("read_only", "L", "Read-only", "Lock or unlock everything that changes something"),
    _any("theme", "T", "Theme", "Next theme"),
    _any("redraw", "ctrl+l", "Redraw", "Paint everything anew"),
    _any("quit", "ctrl+q", "Quit", "Leave; control plane and VMs go on"),
)  # fmt: skip
BY_ID: Final[dict[str, Action]] = {action.id: action for action in ACTIONS}


def for_view(view: str) -> tuple[Action, ...]:
    """The actions that apply in a view, those made for it first."""
    mine = [action for action in ACTIONS if view in action.views]
    return (*mine, *(action for action in ACTIONS if "*" in action.views))

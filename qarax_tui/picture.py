"""One view of a live control plane as an SVG file, for documentation and bug reports."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.geometry import Size

from qarax_tui.client.errors import ClientError
from qarax_tui.keys import BY_ID, ROOT_VIEWS
from qarax_tui.screens.console import ConsolePage
from qarax_tui.screens.host import HostView
from qarax_tui.screens.orphans import OrphansView
from qarax_tui.screens.view import View
from qarax_tui.screens.vm import VmView

if TYPE_CHECKING:
    from qarax_tui.app import QaraxApp
    from qarax_tui.screens.main import MainScreen

PAGES: Final[Mapping[str, tuple[str, Callable[[str], View]]]] = {
    "vm": ("vm", VmView),
    "console": ("vm", ConsolePage),
    "host": ("host", HostView),
}
"""Views of one object, written `vm/NAME`."""
_DEADLINE_SECONDS = 30
_VIEW_SECONDS = 0.2
_PAGE_SECONDS = 5.0
"""So long a page collects what it shows: samples of load, a console's first lines."""
_FONT_LINK = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def portable(svg: str) -> str:
    """The picture without the font that it would load from an address, its spaces kept by every viewer."""
    plain = _FONT_LINK.sub("", svg).replace("&#160;", " ")
    return plain.replace("<svg ", '<svg xml:space="preserve" ', 1)


def draw(app: QaraxApp, path: Path, size: tuple[int, int], view: str) -> int:
    """Returns the exit code; says on stderr why there is no picture."""
    kind, _, name = view.partition("/")
    lists = [BY_ID[one].command for one in (*ROOT_VIEWS, "orphans")]
    if (kind not in lists or name) and not (kind in PAGES and name):
        known = ", ".join([*lists, *(f"{page}/NAME" for page in PAGES)])
        print(f"There is no view {view}; there are {known}.", file=sys.stderr)  # noqa: T201 - no screen
        return 2
    try:
        svg = asyncio.run(_picture(app, Size(*size), view))
        path.write_text(svg, encoding="utf-8")
    except ClientError as error:
        print(f"No picture: {error.sentence}", file=sys.stderr)  # noqa: T201 - there is no screen
        return 1
    except TimeoutError:
        reason = app.fleet.connection.sentence or "nothing answered"
        print(f"No picture: {reason.rstrip('.')}.", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"{path} was not written: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _open_page(main: MainScreen, kind: str, name: str) -> None:
    noun, make = PAGES[kind]
    found = [one.id for one in main.session.fleet.records(noun).values() if one.name == name]
    if not found:
        raise ClientError(f"There is no {noun} {name}.")
    await main.show_root("hosts" if noun == "host" else "vms")
    await main.push(make(found[0]))


async def _picture(app: QaraxApp, size: Size, view: str) -> str:
    async with app.run_test(size=(size.width, size.height)) as pilot, asyncio.timeout(_DEADLINE_SECONDS):
        async for _ in app.fleet.watch():
            if app.fleet.connection.state == "live":
                break
        await pilot.pause()
        if app.main is not None:
            kind, _, name = view.partition("/")
            if name:
                await _open_page(app.main, kind, name)
            elif view == "orphans":
                await app.main.push(OrphansView())
            else:
                await app.main.show_root(view.replace("-", "_"))
        await pilot.pause(_PAGE_SECONDS if "/" in view else _VIEW_SECONDS)
        app.clear_notifications()
        await pilot.pause()
        return portable(app.export_screenshot(title="qarax"))

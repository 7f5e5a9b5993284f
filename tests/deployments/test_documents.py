"""What the documents name exists: links, files, routes, options, settings, make targets, codes and fields."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from qarax_node import settings as node_settings
from qarax_server import app as server
from qarax_server import settings
from qarax_tui import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "deployments" / "README.md"]
)
FENCED = re.compile(r"^( *)```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ROUTE = re.compile(r"(?:\$QARAX|http://127\.0\.0\.1:8000|\b(?:GET|POST|PATCH|DELETE) )(/[\w$/{}.-]*)")
OURS = ("docs", "deployments", "configuration", "hack", "tests", "sql", "proto", "qarax_node", "qarax_server")
KEEPER_OPTIONS = {"--socket", "--runtime-dir", "--log-cap-bytes", "--help"}
PROGRAMS = {"qarax": cli, "qarax-server": server, "qarax-admin": server, "qarax-node": node_settings}

OF_OTHERS = {"supply-chain.md"}
"""What they name is other projects'."""


def over(documents: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", documents, ids=lambda path: str(path.relative_to(ROOT)))


every_document = over(DOCUMENTS)
every_own_document = over([path for path in DOCUMENTS if path.name not in OF_OTHERS])


def code(text: str) -> str:
    """All that is set as code, a line each."""
    blocks = [block for _, block in FENCED.findall(text)]
    return "\n".join([*blocks, *INLINE.findall(FENCED.sub("", text))])


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every option of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options_of(each)


@cache
def options(program: str) -> frozenset[str]:
    module = PROGRAMS[program]
    make = getattr(module, "parser", None) or getattr(module, "_parser", None) or module.make_parser
    return frozenset(options_of(make()))


@cache
def routes() -> frozenset[str]:
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    return frozenset(re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]) | {"/vms?dry_run=true"}


@cache
def source() -> str:
    """Everything that can define a name."""
    kinds = ("qarax_*/**/*.py", "sql/**/*.sql", "configuration/*.yaml", "proto/**/*.proto", "deployments/*/*")
    files = [path for kind in kinds for path in ROOT.glob(kind) if path.is_file()]
    return "\n".join(path.read_text() for path in [*files, ROOT / "openapi.yaml", ROOT / "pyproject.toml"])


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", path.read_text())):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            found = (path.parent / name) if name else path
            assert found.exists(), target
            headings = re.findall(r"^#+ (.*)", found.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"\W+", "-", each.lower()) for each in headings}, target


@every_document
def test_files_are_there(path: Path) -> None:
    for word in re.findall(r"[\w./-]+", code(path.read_text())):
        if word.split("/")[0] in OURS and "/" in word and ".." not in word and "_data" not in word:
            assert (ROOT / word.rstrip(".")).exists(), word


@every_document
def test_routes_are_the_apis(path: Path) -> None:
    for found in ROUTE.findall(code(path.read_text())):
        route = re.sub(r"\$\w+|\{\w+\}", "{}", found.rstrip("."))
        assert route in routes(), found


@every_own_document
def test_options_are_the_programs(path: Path) -> None:
    script = re.findall(r"--[a-z]+", (ROOT / "hack" / "run-local.sh").read_text())
    every = KEEPER_OPTIONS.union(script, *map(options, PROGRAMS))
    for line in code(path.read_text()).splitlines():
        words = re.findall(r"[\w./-]+", line)
        if line.startswith("--"):
            assert words[0] in every, line
        if words and (program := words[0].rpartition("/")[2]) in PROGRAMS:
            given = {word for word in words if word.startswith("--")}
            assert given <= options(program), (line, given - options(program))


@every_document
def test_settings_are_settings(path: Path) -> None:
    sections = settings._sections()
    text = code(path.read_text())
    named = re.findall(rf"\b({'|'.join(sections)})\.([a-z_]+)\b(?!\.|/)", text)
    named += [
        (section.lower(), key.lower()) for section, key in re.findall(r"QARAX__([A-Z_]+?)__(\w+)", text)
    ]
    for section, key in named:
        if (section, key) != ("section", "key") and key not in {"yaml", "md", "py", "internal"}:
            assert key in get_type_hints(sections[section]), f"{section}.{key}"


@every_document
def test_make_knows_its_targets(path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make ([a-z]+)", code(path.read_text()), re.MULTILINE):
        assert target in targets, target


@every_own_document
def test_names_in_code_are_in_the_code(path: Path) -> None:
    for text in INLINE.findall(FENCED.sub("", path.read_text())):
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", text) and not text.startswith("no_root"):
            assert text in source(), text

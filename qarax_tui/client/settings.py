"""Which control plane to talk to, and with which token.

The address comes from `--server`, else `QARAX_SERVER`, else the configuration file, else what `qarax up`
wrote for this machine (the caller passes it as `local`). The token comes from `QARAX_TOKEN`, else the
configuration file, which must then be readable by its owner alone.
Configuration file: `$XDG_CONFIG_HOME/qarax/config.yaml` with `server:`, `token:`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import SettingsError

DEFAULT_SERVER = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """An address and perhaps a token; the token never shows in a repr."""

    server: str = DEFAULT_SERVER
    token: str | None = field(default=None, repr=False)


def configuration_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `config.yaml` and `keys.yaml` live."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "qarax"


def load_settings(
    server: str | None = None,
    *,
    local: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ClientSettings:
    """The settings in force; raises SettingsError with the file and the fix."""
    kept = _read(configuration_folder(environ) / "config.yaml")
    chosen = server or environ.get("QARAX_SERVER") or kept.get("server") or local or DEFAULT_SERVER
    token = environ.get("QARAX_TOKEN") or kept.get("token")
    return ClientSettings(server=str(chosen).rstrip("/"), token=str(token) if token else None)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.", "Correct or remove the file.") from error
    import yaml  # noqa: PLC0415 - most operators have no such file, and it takes 10 ms

    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}.", "Correct or remove the file.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold `server:` and `token:`.", "Correct or remove the file.")
    _refuse_shared(path, content)
    return content


def _refuse_shared(path: Path, content: Mapping[str, Any]) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if content.get("token") and mode & 0o077:
        raise SettingsError(
            f"{path} holds a token and others can read it (mode {mode:o}).", f"Run: chmod 600 {path}"
        )

"""Where the server's address and the token come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_tui.client.errors import SettingsError
from qarax_tui.client.settings import DEFAULT_SERVER, load_settings


def configured(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    path = folder / "qarax" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    nothing = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    assert load_settings(environ=nothing).server == DEFAULT_SERVER
    assert load_settings(local="http://l:1", environ=nothing).server == "http://l:1"
    environ = configured(tmp_path, "server: http://file:1/\ntoken: kept\n")
    assert load_settings(local="http://l:1", environ=environ).server == "http://file:1"
    environ["QARAX_SERVER"] = "http://environment:1"
    assert load_settings(environ=environ).server == "http://environment:1"
    assert load_settings("http://argument:1", environ=environ).server == "http://argument:1"
    assert load_settings(environ=environ).token == "kept"
    environ["QARAX_TOKEN"] = "given"
    assert load_settings(environ=environ).token == "given"
    assert "given" not in repr(load_settings(environ=environ))


@pytest.mark.parametrize(("text", "mode"), [("token: x\n", 0o644), ("[1]", 0o600), (": :\n- ", 0o600)])
def test_an_unusable_file_is_named_with_its_fix(tmp_path: Path, text: str, mode: int) -> None:
    environ = configured(tmp_path, text, mode)
    with pytest.raises(SettingsError) as refused:
        load_settings(environ=environ)
    assert "config.yaml" in refused.value.sentence
    assert refused.value.fix


def test_a_file_without_token_may_be_read_by_others(tmp_path: Path) -> None:
    environ = configured(tmp_path, "server: http://file:1\n", 0o644)
    assert load_settings(environ=environ).server == "http://file:1"

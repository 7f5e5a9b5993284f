"""The layers of the configuration and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_server import settings
from qarax_server.errors import SettingsError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(
        "application: {port: 1}\ndatabase: {password: hush, username: base}\n"
    )
    (tmp_path / "local.yaml").write_text("application: {port: 2}\n")
    (tmp_path / "production.yaml").write_text("application: {port: 3}\n")
    return tmp_path


def test_later_layers_win(directory: Path) -> None:
    assert settings.load({}, directory).application.port == 2
    assert settings.load({"APP_ENVIRONMENT": "production"}, directory).application.port == 3
    environ = {"QARAX__APPLICATION__PORT": "4", "DATABASE_NAME": "q", "VM_ROOTFS": "/r"}
    found = settings.load(environ, directory)
    assert (found.application.port, found.database.database_name, found.vm_defaults.rootfs) == (4, "q", "/r")
    assert found.database.username == "base"


def test_the_files_of_the_repository_are_valid() -> None:
    assert settings.load({"APP_ENVIRONMENT": "local"}).application.port == 8000
    assert settings.load({"APP_ENVIRONMENT": "production"}).application.host == "0.0.0.0"
    assert "qarax.lifetime=5" in settings.load({}).vm_defaults.cmdline


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"QARAX__APPLICATION__PROT": "1"}, "QARAX__APPLICATION__PROT: unknown key application.prot"),
        ({"QARAX__NOWHERE__X": "1"}, "unknown key nowhere.x"),
        ({"QARAX__APPLICATION__PORT": "many"}, "application.port must be a whole number, it is 'many'"),
        ({"QARAX__APPLICATION__PORT": "70000"}, "must be from 0 to 65535, it is 70000"),
        ({"QARAX__AUTH__REQUIRED": "perhaps"}, "auth.required must be true or false"),
        ({"QARAX__APPLICATION__LOG_LEVEL": "loud"}, "must be one of debug, info"),
        ({"APP_ENVIRONMENT": "moon"}, "moon.yaml cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_named(directory: Path, environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings.load(environ, directory)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("application: {prot: 1}", "base.yaml: unknown key application.prot"),
        ("applications: {port: 1}", "base.yaml: unknown .*applications"),
        ("application: [1]", "must be a section"),
        ("database: {port: 1.5}", "must be a whole number"),
        ("application: {host: [a]}", "must be text"),
        ("application: {allowed_hosts: 5}", "must be a list"),
        ("{", "is not YAML"),
        ("5", "must hold sections"),
    ],
)
def test_a_broken_file_is_named(directory: Path, text: str, sentence: str) -> None:
    (directory / "base.yaml").write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        settings.load({}, directory)


def test_secrets_are_masked(directory: Path) -> None:
    text = settings.masked(settings.load({"DATABASE_PASSWORD": "s3cret"}, directory))
    assert "s3cret" not in text
    assert "password: '********'" in text


def test_lists_come_from_the_environment_too(directory: Path) -> None:
    found = settings.load({"QARAX__APPLICATION__ALLOWED_HOSTS": "a.example, b.example"}, directory)
    assert found.application.allowed_hosts == ("a.example", "b.example")


def test_a_network_that_is_none_is_named(directory: Path) -> None:
    with pytest.raises(SettingsError, match="'home' is no network"):
        settings.load({"QARAX__APPLICATION__ALLOWED_NETWORKS": "10.0.0.0/8,home"}, directory)

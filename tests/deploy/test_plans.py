"""What a request comes to before anything begins: versions, images, wheels that fit. No machine needed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from qarax_server.control.deployment.direct import node_unit
from qarax_server.control.deployment.plan import make_plan
from qarax_server.control.deployment.release import DATA, REQUIREMENTS, find_release
from qarax_server.errors import Invalid
from qarax_server.settings import Bootc, Deployment, NodeTls, Settings
from qarax_server.ssh import keys

DIGEST = f"sha256:{'a' * 64}"
UNIT = b"ExecStart=/opt/qarax/bin/qarax-node --host 0.0.0.0 --port 50051 --tls-directory /old --x $MORE\n"
LOCK = b"grpcio==1.85.1 \\\n    --hash=sha256:0\nqemu-qmp==0.0.6 \\\n    --hash=sha256:1\n"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A directory with a wheel of version 1.2.3 and some of what it needs."""
    with zipfile.ZipFile(tmp_path / "qarax-1.2.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr(REQUIREMENTS, LOCK)
        for name in ("qarax-keeper.service", "qarax-node.service"):
            wheel.writestr(f"{DATA}systemd/{name}", UNIT)
        wheel.writestr("qarax_node/keeper/__init__.py", b"")
    for name in (
        "grpcio-1.85.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "grpcio-1.85.1-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "grpcio-1.84.0-cp311-cp311-manylinux2014_x86_64.whl",
        "qemu_qmp-0.0.6-py3-none-any.whl",
        "textual-8.2.0-py3-none-any.whl",
    ):
        (tmp_path / name).touch()
    return tmp_path


def settings(packages: Path, **deployment: str) -> Settings:
    return Settings(
        deployment=Deployment(packages_path=str(packages), **deployment),  # type: ignore[arg-type]
        bootc=Bootc(registry="registry.example.org:5000/fleet"),
        node_tls=NodeTls(directory="/etc/qarax/ca"),
    )


def request(**fields: object) -> dict[str, object]:
    return {"ssh_port": 22, "force": False, "ssh_password": "x", **fields}


def test_a_digest_and_a_tag_make_an_image(packages: Path) -> None:
    repository = "registry.example.org:5000/fleet/qarax-vmm"
    for wanted, target, version in (
        (DIGEST, f"{repository}@{DIGEST}", ""),
        ("v1.2.3", f"{repository}:v1.2.3", "1.2.3"),
        ("nightly", f"{repository}:nightly", ""),
        ("2026.11", f"{repository}:2026.11", ""),
    ):
        plan = make_plan(settings(packages), "10.0.0.1", request(mode="bootc", image_version=wanted))
        assert (plan.target, plan.version) == (target, version)


def test_what_is_no_version_is_refused(packages: Path) -> None:
    for mode, wanted in (("bootc", "sha256:12"), ("bootc", ""), ("direct", DIGEST), ("direct", "nightly")):
        with pytest.raises(Invalid, match="image_version"):
            make_plan(settings(packages), "10.0.0.1", request(mode=mode, image_version=wanted))


def test_a_release_is_read_from_its_wheel_with_what_fits_the_host(packages: Path) -> None:
    release = find_release(str(packages), "1.2.3")
    assert release.name.startswith("1.2.3-")
    fitting = [each.name.split("-cp")[0] for each in release.wheels_for("3.11", "x86_64")]
    assert fitting == ["grpcio-1.85.1", "qemu_qmp-0.0.6-py3-none-any.whl"]
    assert [each.name for each in release.wheels_for("3.13", "x86_64")] == ["qemu_qmp-0.0.6-py3-none-any.whl"]
    (packages / "qarax-1.2.4-py3-none-any.whl").write_bytes(b"no zip")
    for version, why in (("1.2.4", "it is no wheel"), ("9.0", "No such file")):
        with pytest.raises(Invalid, match=why):
            find_release(str(packages), version)


def test_without_certificates_only_this_machine_is_deployed_to(packages: Path) -> None:
    plain = Settings(deployment=Deployment(packages_path=str(packages)), node_tls=NodeTls(plain_text=True))
    assert make_plan(plain, "127.0.0.1", request(image_version="v1.2.3")).version == "1.2.3"
    with pytest.raises(Invalid, match="qarax-server ca init"):
        make_plan(plain, "10.0.0.1", request(image_version="v1.2.3"))


def test_a_plan_shows_no_password(packages: Path) -> None:
    plan = make_plan(settings(packages), "10.0.0.1", request(ssh_password="hunter2", image_version="1.2.3"))
    assert plan.password == "hunter2"
    assert "hunter2" not in repr(plan)


def test_the_unit_gets_port_and_certificate_of_its_host() -> None:
    text = node_unit(UNIT, 7000, tls=True).decode()
    assert "--host 0.0.0.0 --tls-directory /etc/qarax/tls --port 7000 --x $MORE" in text
    assert "--host 127.0.0.1 --port 7000 --x $MORE" in node_unit(UNIT, 7000, tls=False).decode()


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 AAAA\n", "x y z", "ssh-ed25519 " + "A" * 68]
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(ValueError, match="not a public SSH key"):
        keys.read(text)

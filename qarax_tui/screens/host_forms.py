"""The forms of hosts: register, edit, deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qarax_tui.screens import rules
from qarax_tui.screens.form import Field, Form

if TYPE_CHECKING:
    from qarax_tui.client.records import Host
    from qarax_tui.screens.session import Session

_MODES = (("server's default", ""), ("direct", "direct"), ("bootc", "bootc"))


def _where(address: str = "", port: int = 50051, user: str = "root") -> tuple[Field, ...]:
    return (
        Field("address", "Address", rules.address, address, hint="IP address or host name of the machine"),
        Field("port", "Port", rules.port, str(port), hint="where its qarax-node listens"),
        Field("host_user", "SSH user", rules.required, user, hint="only used to deploy the agent"),
    )


def register(session: Session) -> Form:
    """A machine that runs, or will run, the agent."""
    fields = (Field("name", "Name", rules.name, hint="how it is called here"), *_where())

    async def submit(values: dict[str, Any]) -> str:
        return await session.api.create_host(values)

    return Form("Register a host", fields, "Register", submit)


def edit(session: Session, host: Host) -> Form:
    """Where the agent is reached; only what differs is sent."""

    async def submit(values: dict[str, Any]) -> bool:
        changes = {name: value for name, value in values.items() if value != getattr(host, name)}
        if changes:
            await session.api.update_host(host.id, changes)
        return True

    return Form(f"Edit {host.name}", _where(host.address, host.port, host.host_user), "Save", submit)


def deploy(session: Session, host: Host) -> Form:
    """Install or upgrade the agent; the operation tells how it goes."""
    fields = (
        Field("mode", "Mode", rules.optional, "", "direct: VMs go on · bootc: it reboots", choices=_MODES),
        Field("image_version", "Version", rules.optional,
              hint="v1.0.0 or sha256:…; empty: the server's own"),
        Field("ssh_port", "SSH port", rules.port, "22", f"logs in as {host.host_user} at {host.address}"),
        Field("ssh_password", "Password", rules.optional, hint="used once, never kept; empty for the key",
              password=True),
        Field("force", "Force", rules.optional, "", "direct: without KVM · bootc: end its VMs",
              choices=(("no", ""), ("yes", "yes"))),
    )  # fmt: skip

    async def submit(values: dict[str, Any]) -> str:
        body = {name: value for name, value in values.items() if value is not None}
        await session.api.deploy_host(host.id, body | {"force": values["force"] == "yes"})
        return host.id

    title = f"Deploy to {host.name}"
    return Form(title, fields, "Deploy", submit)

"""The README's API walkthrough, done: every request is sent and printed with its answer.

Brings a control plane up when none runs here. Ends with 0 only when every status was really observed, the
guest's own banner on its console included. Whatever it made is gone at the end; the control plane stays.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

QARAX = Path(sys.executable).parent / "qarax"
BANNER = "qarax guest is up"
CONSOLE_SECONDS = 120.0
TRANSFER_SECONDS = 60.0
STOP_SECONDS = 90.0
MEMORY = 256 * 1024 * 1024
SHOWN_CHARACTERS = 1200


class DemoError(Exception):
    """Something was not as the walkthrough says; the text says what."""


class Walkthrough:
    """Requests to one control plane, printed as curl would be typed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.undo: list[str] = []

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, *, expect: int = 200) -> Any:
        """Send one request; return its answer (JSON or text) when its status is `expect`."""
        arguments = "" if method == "GET" else f"-X {method} "
        data = f" -d '{json.dumps(body)}'" if body is not None else ""
        print(f"\n$ curl {arguments}{self.url}{path}{data}")
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=STOP_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        print(f"< {answer.status} {answer.reason}")
        content = parsed(text, answer.getheader("Content-Type", ""))
        shown = content if isinstance(content, str) else json.dumps(content, indent=2)
        print(shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]} ...")
        if answer.status != expect:
            raise DemoError(f"{method} {path} answered {answer.status}, expected {expect}")
        return content

    def create(self, path: str, body: dict[str, Any], *, delete_query: str = "") -> str:
        """POST that answers 201 with the new id; it is deleted at the end."""
        identifier = str(self.send("POST", path, body, expect=201))
        self.undo.append(f"{path}/{identifier}{delete_query}")
        return identifier

    def act(self, vm: str, action: str, status: str) -> None:
        """A VM action, and then the status as an independent GET sees it."""
        self.send("POST", f"/vms/{vm}/{action}")
        seen = self.send("GET", f"/vms/{vm}")["status"]
        if seen != status:
            raise DemoError(f"after {action} the VM is {seen}, expected {status}")

    def transfer(self, pool: str, name: str, source: Path, kind: str) -> str:
        """Copy a file into the pool and wait until it is a storage object; return that object's id."""
        path = f"/storage-pools/{pool}/transfers"
        body = {"name": name, "source": str(source), "object_type": kind}
        transfer = self.send("POST", path, body, expect=202)
        deadline = time.monotonic() + TRANSFER_SECONDS
        while transfer["status"] in ("pending", "running"):
            if time.monotonic() > deadline:
                raise DemoError(f"the transfer of {source} is still {transfer['status']}")
            time.sleep(0.3)
            transfer = self.send("GET", f"{path}/{transfer['id']}")
        if transfer["status"] != "completed":
            raise DemoError(f"the transfer of {source} failed: {transfer['error_message']}")
        identifier = str(transfer["storage_object_id"])
        self.undo.append(f"/storage-objects/{identifier}?delete_file=true")
        return identifier

    def console_until_banner(self, vm: str, boots: int) -> None:
        """Follow the console from its first byte until the guest has said `boots` times that it is up."""
        path = f"/vms/{vm}/console?from=0&follow=true"
        print(f"\n$ curl -N '{self.url}{path}'")
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=CONSOLE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            print(f"< {answer.status} {answer.reason}")
            seen = 0
            deadline = time.monotonic() + CONSOLE_SECONDS
            while seen < boots:
                line = answer.readline().decode(errors="replace")
                if not line or time.monotonic() > deadline:
                    raise DemoError("the console ended before the guest said that it is up")
                print(f"  {printable(line)}", flush=True)
                seen += BANNER in line
        except TimeoutError as error:
            raise DemoError(f"the guest said nothing for {CONSOLE_SECONDS:.0f} s") from error
        finally:
            connection.close()

    def clean_up(self) -> None:
        """Delete what was made, last first; what is in use is left and said."""
        for path in reversed(self.undo):
            try:
                self.send("DELETE", path, expect=204)
            except (DemoError, OSError) as error:
                print(f"left behind: {path} ({error})")
        self.undo.clear()


def parsed(text: str, content_type: str) -> Any:
    """The answer's JSON, or its text."""
    return json.loads(text) if "json" in content_type else text.strip()


def printable(line: str) -> str:
    """A guest's line without what would move this terminal."""
    return "".join(c if c.isprintable() else " " for c in line.rstrip())


def walk(demo: Walkthrough, images: Path, pool_path: Path) -> None:
    """The walkthrough itself."""
    suffix = secrets.token_hex(3)
    hosts = demo.send("GET", "/hosts")
    up = [host for host in hosts if host["status"] == "up" and not host["name"].startswith("sim-")]
    if not up:
        raise DemoError("no host is up; qarax status and its logs say why")
    pool = demo.create(
        "/storage-pools",
        {
            "name": f"local-pool-{suffix}",
            "pool_type": "local",
            "config": {"path": str(pool_path)},
            "capacity_bytes": 10 * 1024**3,
        },
    )
    kernel = demo.transfer(pool, f"vmlinux-{suffix}", images / "vmlinux", "kernel")
    initrd = demo.transfer(pool, f"initramfs-{suffix}.gz", images / "initramfs.gz", "initrd")
    boot_source = demo.create(
        "/boot-sources",
        {
            "name": f"linux-{suffix}",
            "kernel_image_id": kernel,
            "initrd_image_id": initrd,
            "kernel_params": "console=ttyS0 reboot=k panic=1",
        },
    )
    vm = demo.create(
        "/vms",
        {
            "name": f"demo-{suffix}",
            "hypervisor": "cloud_hv",
            "boot_vcpus": 1,
            "max_vcpus": 1,
            "memory_size": MEMORY,
            "boot_source_id": boot_source,
        },
    )
    live(demo, vm)
    demo.send("DELETE", f"/vms/{vm}", expect=204)
    demo.undo.remove(f"/vms/{vm}")
    demo.send("GET", f"/vms/{vm}", expect=404)


def live(demo: Walkthrough, vm: str) -> None:
    """A VM's life from created to its second boot."""
    created = demo.send("GET", f"/vms/{vm}")
    if created["status"] != "created":
        raise DemoError(f"a new VM is {created['status']}, expected created")
    demo.act(vm, "start", "running")
    demo.console_until_banner(vm, boots=1)
    demo.act(vm, "pause", "paused")
    demo.act(vm, "resume", "running")
    demo.act(vm, "stop", "shutdown")
    demo.act(vm, "start", "running")
    demo.console_until_banner(vm, boots=2)
    really_ran(demo, vm)


def really_ran(demo: Walkthrough, vm: str) -> None:
    """Say which driver ran what asked for cloud_hv, and why."""
    seen = demo.send("GET", f"/vms/{vm}")
    host = demo.send("GET", f"/hosts/{seen['host_id']}")
    driver: dict[str, Any] = next((each for each in host["drivers"] if each["name"] == seen["driver"]), {})
    print(f"\nasked for: {seen['hypervisor']}")
    print(f"really ran: {seen['driver']} {driver.get('version', '')} ({driver.get('accelerator', '')})")
    if driver.get("stand_in"):
        print(f"why: {driver.get('reason') or 'it stands in for Cloud Hypervisor on this host'}")


def control_plane(place: list[str]) -> dict[str, Any]:
    """Bring one up here unless it is, and say where it is."""
    subprocess.run([QARAX, "up", *place], check=True)
    found: dict[str, Any] = json.loads(subprocess.check_output([QARAX, "status", "-o", "json", *place]))
    return found


def main() -> int:
    """Run the walkthrough; 0 when every status was observed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, metavar="D", help="as for qarax up")
    parser.add_argument("--server", metavar="URL", help="a control plane that runs already, with --images")
    parser.add_argument("--images", type=Path, metavar="DIR", help="vmlinux and initramfs.gz on its host")
    options = parser.parse_args()
    place = ["--state-dir", str(options.state_dir.absolute())] if options.state_dir else []
    if options.server:
        url, images = options.server.rstrip("/"), options.images or Path("/var/lib/qarax/images")
    else:
        try:
            found = control_plane(place)
        except subprocess.CalledProcessError as error:
            return int(error.returncode)
        url, images = found["server_url"], Path(found["state_dir"]) / "images"
    demo = Walkthrough(url)
    try:
        walk(demo, images, images.parent / "demo-pool")
    except (DemoError, OSError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        demo.clean_up()
    stop = " ".join(["qarax", "down", *place])
    print(f"\ndemo: every status was observed. The control plane goes on at {url}; to stop it: {stop}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

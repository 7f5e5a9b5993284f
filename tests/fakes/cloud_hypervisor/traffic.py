"""The guest's end of its first tap: it answers ARP and ping for the address of `ip=` on its command line."""

from __future__ import annotations

import ipaddress
import os
import select
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fakes.cloud_hypervisor.machine import Machine

HEADER_BYTES = 12
LARGEST_FRAME = 1 << 16
ARP, IPV4 = b"\x08\x06", b"\x08\x00"
ARP_REQUEST = b"\x00\x01\x08\x00\x06\x04\x00\x01"
ARP_REPLY = ARP_REQUEST[:-1] + b"\x02"
ICMP, ECHO_REQUEST = 1, 8


class Responder:
    """Watches a tap in the machine's thread and counts what it sees, as vm.counters tells it."""

    def __init__(self, descriptor: int, mac: str, address: str) -> None:
        self.descriptor = descriptor
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.address = ipaddress.ip_interface(address).ip.packed
        self.counters = {"rx_bytes": 0, "rx_frames": 0, "tx_bytes": 0, "tx_frames": 0}

    def serve(self, machine: Machine) -> None:
        machine.watch(self.descriptor, select.EPOLLIN, self._ready)

    def _ready(self, _events: int) -> None:
        try:
            received = os.read(self.descriptor, LARGEST_FRAME)
        except OSError:
            return
        frame = received[HEADER_BYTES:]
        self._count("rx", frame)
        answer = self._answer(frame)
        if answer:
            os.write(self.descriptor, bytes(HEADER_BYTES) + answer)
            self._count("tx", answer)

    def _count(self, way: str, frame: bytes) -> None:
        self.counters[f"{way}_bytes"] += len(frame)
        self.counters[f"{way}_frames"] += 1

    def _answer(self, frame: bytes) -> bytes:
        kind, body = frame[12:14], frame[14:]
        back = frame[6:12] + self.mac + kind
        if kind == ARP and body[:8] == ARP_REQUEST and body[24:28] == self.address:
            return back + ARP_REPLY + self.mac + self.address + body[8:18]
        if kind == IPV4 and len(body) >= 20 and body[9] == ICMP and body[16:20] == self.address:
            return back + _pong(body)
        return b""


def _pong(packet: bytes) -> bytes:
    """The packet sent back; nothing when it is no echo request. The IP checksum stays true when swapped."""
    begin, end = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
    message = packet[begin:end]
    if not message or message[0] != ECHO_REQUEST:
        return b""
    header = packet[:12] + packet[16:20] + packet[12:16] + packet[20:begin]
    answer = b"\0\0\0\0" + message[4:]
    return header + answer[:2] + struct.pack(">H", _checksum(answer)) + answer[4:]


def _checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total

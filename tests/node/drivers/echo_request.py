"""`python echo_request.py ADDRESS`: one ICMP echo a try until it is answered; exit 1 after ten seconds."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

PAYLOAD = b"qarax contract"


def _request() -> bytes:
    words = struct.unpack(f">{len(PAYLOAD) // 2}H", PAYLOAD)
    total = 0x0800 + os.getpid() % 0xFFFF + sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">BBHHH", 8, 0, 0xFFFF - total, os.getpid() % 0xFFFF, 0) + PAYLOAD


def main(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(0.5)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            raw.sendto(_request(), (address, 0))
            try:
                packet, (sender, _) = raw.recvfrom(2048)
            except TimeoutError:
                continue
            if sender == address and packet[20] == 0 and packet.endswith(PAYLOAD):
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

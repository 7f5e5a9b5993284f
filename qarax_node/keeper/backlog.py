"""Which of our connections nobody has accepted, as the kernel sees it (sock_diag(7), unix_diag).

A Cloud Hypervisor whose serial thread has ended still listens: connecting works and nothing ever comes. Only
the listener's backlog tells.
"""

from __future__ import annotations

import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
REQUEST_AND_DUMP = 0x301
LISTENING = 1 << 10
UDIAG_SHOW_ICONS = 0x08
UNIX_DIAG_ICONS = 3
NLMSG_ERROR, NLMSG_DONE = 2, 3
HEADER_BYTES = 16
RECEIVE_BYTES = 1 << 17


def unaccepted() -> set[int]:
    """The inodes of connecting sockets that wait in some listener's backlog. Raises OSError."""
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, LISTENING, 0, UDIAG_SHOW_ICONS, 0, 0)
    header = struct.pack("=IHHII", HEADER_BYTES + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_AND_DUMP, 1, 0)
    found: set[int] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.send(header + request)
        while not _take(netlink.recv(RECEIVE_BYTES), found):
            pass
    return found


def _take(data: bytes, found: set[int]) -> bool:
    """Collect from one datagram; True when the dump is complete."""
    place = 0
    while place + HEADER_BYTES <= len(data):
        length, kind = struct.unpack_from("=IH", data, place)
        if kind == NLMSG_ERROR:
            raise OSError(-struct.unpack_from("=i", data, place + HEADER_BYTES)[0], "sock_diag refused")
        if kind == NLMSG_DONE or length < HEADER_BYTES:
            return True
        _attributes(data[place + 2 * HEADER_BYTES : place + length], found)
        place += (length + 3) & ~3
    return False


def _attributes(data: bytes, found: set[int]) -> None:
    place = 0
    while place + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, place)
        if kind == UNIX_DIAG_ICONS:
            found.update(struct.unpack_from(f"={(size - 4) // 4}I", data, place + 4))
        place += max(4, (size + 3) & ~3)

"""A delay line: what this network namespace sends through `eth0` is held for a while first.

    python -m tests.system.delay_line OWN_ADDRESS SECONDS JITTER_SECONDS

Packets are sent to a TUN device, which more specific routes put before `eth0`; this program holds them and writes them
back, and what comes out of the device is forwarded by `eth0`. It ends with its standard input and takes the device
with it, and the routes with the device. Needs root, in the namespace.
"""

import fcntl
import os
import random
import selectors
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_NAME = "late"
_TABLE = "100"
_PACKET_BYTES = 2_000
_HELD_MAX = 20_000
"""Packets beyond it are lost, as at any queue."""


def open_device(own: str) -> int:
    """The device, up, with everything for the own network going into it and out of it to `eth0`."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", _NAME.encode(), _IFF_TUN | _IFF_NO_PI))
    for setting, value in (("rp_filter", 0), ("accept_local", 1), ("forwarding", 1)):
        for name in ("all", "eth0", _NAME):
            Path(f"/proc/sys/net/ipv4/conf/{name}/{setting}").write_text(f"{value}\n")
    network = own.rpartition(".")[0]
    commands = (
        f"link set {_NAME} up",
        f"route replace {network}.0/24 dev eth0 table {_TABLE}",
        f"route add {network}.0/25 dev {_NAME} src {own}",
    )
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands).encode(), check=True)
    rules = subprocess.run(["ip", "rule"], capture_output=True, check=True).stdout
    if f"iif {_NAME}".encode() not in rules:
        subprocess.run(["ip", "rule", "add", "iif", _NAME, "lookup", _TABLE], check=True)
    return device


def run(device: int, delay_s: float, jitter_s: float) -> None:
    """Hold packets until standard input ends; their order is kept."""
    held: deque[tuple[float, bytes]] = deque()
    due = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(device, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            timeout_s = max(0.0, held[0][0] - time.monotonic()) if held else None
            ready = [key.fd for key, _ in selector.select(timeout_s)]
            if 0 in ready:
                return
            if device in ready:
                packet = os.read(device, _PACKET_BYTES)
                due = max(due, time.monotonic() + delay_s + jitter_s * random.random())
                if len(held) < _HELD_MAX:
                    held.append((due, packet))
            while held and held[0][0] <= time.monotonic():
                os.write(device, held.popleft()[1])


if __name__ == "__main__":
    run(open_device(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))

"""The ground that a crew stands on: its folder, wires, disks and clocks, all of which can be broken.

Rules of this file: what this machine does not allow is left out, and `missing` names it with its reason.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from tests.system.clocks import Clocks
from tests.system.disks import Disks, open_disks
from tests.system.wires import Namespaces, Wires, open_wires


@attrs.frozen
class Ground:
    """Where the nodes of one crew run. Without `rough` its disks and clocks are the machine's own."""

    folder: Path
    wires: Wires
    disks: Disks
    clocks: Clocks | None
    nursery: trio.Nursery
    servers: tuple[str, ...]
    proxies: tuple[str, ...]

    def environment(self, node: str) -> dict[str, str]:
        """What the processes of `node` must be started with."""
        return {} if self.clocks is None else self.clocks.environment(node)

    @property
    def missing(self) -> list[str]:
        """What cannot be broken here, and why."""
        found = []
        if not isinstance(self.wires, Namespaces):
            found.append("one-way cuts, loss, delay, rates: they need root and network namespaces with nft")
        if not self.disks.possible:
            found.append("full disks: they need root, to mount a tmpfs")
        if self.clocks is None or not self.clocks.possible:
            found.append("clock shifts: they need libfaketime (Debian: faketime)")
        return found


@contextlib.asynccontextmanager
async def open_ground(
    folder: Path, servers: tuple[str, ...], proxies: tuple[str, ...], *, relayed: bool = False, rough: bool = False
) -> AsyncIterator[Ground]:
    """A ground for these nodes. `rough` asks for disks and clocks that can be broken, `relayed` for relays on loopback.

    The nursery is cancelled on leaving; processes must have ended by then.
    """
    short = Path(f"/tmp/aa-{secrets.token_hex(4)}")  # the path of a Unix socket has at most 107 bytes
    short.symlink_to(folder)
    try:
        with open_disks(short, servers, small=rough) as disks:
            clocks = Clocks(short, (*servers, *proxies)) if rough else None
            async with open_wires(servers, proxies, relayed=relayed) as wires, trio.open_nursery() as nursery:
                yield Ground(short, wires, disks, clocks, nursery, servers, proxies)
                nursery.cancel_scope.cancel()
    finally:
        short.unlink()

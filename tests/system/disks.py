"""Small disks of single nodes, which can be filled up: a tmpfs each where root may mount one, else plain folders.

Rules of this file: a disk is made before its processes start and unmounted after they have ended.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

SIZE_BYTES = 512 * 1024 * 1024
BALLAST = "ballast"


class Disks:
    """One folder for each node; `possible` says whether they can be filled."""

    def __init__(self, folder: Path, nodes: Iterable[str], *, possible: bool) -> None:
        self.folders = {node: folder / f"disk-{node}" for node in nodes}
        self.possible = possible

    def fill(self, node: str) -> None:
        """Leave no byte on the disk of `node`."""
        assert self.possible, "this disk belongs to everybody"
        with (self.folders[node] / BALLAST).open("wb", buffering=0) as ballast:
            size, piece = 0, SIZE_BYTES
            while piece:  # the largest pieces first: what is written meanwhile leaves little room
                try:
                    os.posix_fallocate(ballast.fileno(), size, piece)
                    size += piece
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece = piece // 2 if piece > 4096 else 0

    def free(self, node: str) -> None:
        """Take back what fills the disk."""
        (self.folders[node] / BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def open_disks(folder: Path, nodes: Iterable[str], *, small: bool) -> Iterator[Disks]:
    """Folders for these nodes; with `small` each is a file system of its own, if this machine allows that."""
    disks = Disks(folder, nodes, possible=small)
    mounted: list[Path] = []
    try:
        for path in disks.folders.values():
            path.mkdir(mode=0o700)
            if disks.possible:
                disks.possible = _mount(path)
            if disks.possible:
                mounted.append(path)
        yield disks
    finally:
        for path in mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def _mount(path: Path) -> bool:
    if os.geteuid() != 0:
        return False
    options = f"size={SIZE_BYTES},mode=0700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=False, capture_output=True)
    return done.returncode == 0

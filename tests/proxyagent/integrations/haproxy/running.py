"""A real HAProxy for tests, on free ports, with its runtime socket in a folder that is short enough for one."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from authagent.demo.switch import haproxy

START_TIMEOUT_S = 15.0


def require_haproxy() -> str:
    """Where HAProxy is; skips the test where it is missing, fails it with CI=true."""
    found = haproxy()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("not installed: haproxy (tests/components.py)")
    if found is None:
        pytest.skip("not installed: haproxy; as root: python tests/components.py")
    return found


@attrs.define
class Haproxy:
    """One HAProxy, started any number of times from the file `configuration` in `folder`."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> str:
        """Its runtime socket, as the configuration must name it."""
        return str(self.folder / "admin.sock")

    @property
    def log(self) -> str:
        """What it complained about."""
        return (self.folder / "haproxy.log").read_text()

    def start(self, configuration: str = "") -> None:
        """Start it, and wait until its runtime socket is there; without `configuration` with that of the last time."""
        file = self.folder / "haproxy.cfg"
        if configuration:
            file.write_text(configuration)
        Path(self.socket).unlink(missing_ok=True)
        with (self.folder / "haproxy.log").open("ab") as log:
            self.process = subprocess.Popen([require_haproxy(), "-db", "-f", str(file)], stdout=log, stderr=log)
        until_s = time.monotonic() + START_TIMEOUT_S
        while not os.path.exists(self.socket):
            assert self.process.poll() is None and time.monotonic() < until_s, self.log
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def open_haproxy() -> Iterator[Haproxy]:
    """A folder for one HAProxy, and its end whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="aa-", dir="/tmp"))  # the path of a Unix socket has at most 107 bytes
    running = Haproxy(folder)
    try:
        yield running
    finally:
        running.kill()
        shutil.rmtree(folder)

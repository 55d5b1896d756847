"""A configuration on this machine, and a ProxyAgent that runs by it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxyagent.processes import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose agents nobody runs, with a secret and all folders beside it."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    secret = tmp_path / "secret"
    secret.write_text("Zq3vX9tLr7Bn2KwYp5HdMs8FgJcT4aUe\n")
    secret.chmod(0o600)
    path = tmp_path / "authagent.toml"
    path.write_text(
        f'site = "lan1"\nstate_dir = "{tmp_path}"\n[control]\nfolder = "{tmp_path}"\n'
        f'[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {ports[0]}\n'
        f'[[authagent]]\nid = 2\nhost = "127.0.0.1"\nport = {ports[1]}\n'
        '[[proxyagent]]\nid = "p*"\n'
    )
    return path


@pytest.fixture
def daemon(file: Path) -> Iterator[subprocess.Popen[str]]:
    """A running `proxyagent run`."""
    command = [sys.executable, "-m", "proxyagent", "run", "--id", "p1", "--config", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: (file.parent / "lan1-proxyagent-p1.sock").exists() or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()

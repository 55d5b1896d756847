"""Our side: two agents and any number of proxies, as real processes on free loopback ports.

State lies in the same kind of folder as the peer's, on the disk where temporary files live.
"""

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.benchmark.children import ROOT, Child, RowFailed, all_ended, worker
from tests.ports import free_port

SITE = "bench"

_CONFIGURATION = """\
site = "{site}"
state_dir = "{folder}/state"

[session]
max_lifetime = "12h"

[control]
folder = "{folder}"

[logging]
level = 0

[limits]
sessions = 2_500_000

[[authagent]]
id = 1
site = "{site}"
host = "127.0.0.1"
port = {port_1}

[[authagent]]
id = 2
site = "{site}"
host = "127.0.0.1"
port = {port_2}

[[proxyagent]]
id = "p*"
site = "{site}"

{more}
"""

PLAIN = '[tls]\nmode = "off"\n'


@attrs.define
class Farm:
    """The agents by number and the proxies by id."""

    folder: Path
    config: Path
    children: list[Child]
    listen: dict[int, str] = attrs.field(factory=dict)
    agents: dict[int, Child] = attrs.field(factory=dict)
    agent_program: tuple[str, ...] = ("-m", "authagent")

    def start_agent(self, number: int) -> Child:
        """Start agent 1 or 2 with its own state directory."""
        command = [sys.executable, *self.agent_program, str(number), "--config", str(self.config)]
        command += ["--state-dir", str(self.folder / f"agent{number}")]
        command += ["--listen", self.listen[number]] if number in self.listen else []
        child = Child(f"agent{number}", command, self.folder)
        self.children.append(child)
        self.agents[number] = child
        return child

    def start_pair(self) -> None:
        """Start both agents and wait until one follows the other."""
        for number in (1, 2):
            self.start_agent(number)
        self.wait_roles({1: "master", 2: "slave"})

    def wait_roles(self, roles: dict[int, str], within_s: float = 20.0) -> None:
        """Wait until the agents say that they have these roles and, being two, equal tables."""
        deadline = time.monotonic() + within_s
        while True:
            said = {number: self.status(number) for number in roles}
            right = all(said[number].get("role") == role for number, role in roles.items())
            if right and (
                len(roles) < 2 or all((each.get("partner") or {}).get("digest_equal") for each in said.values())
            ):
                return
            if time.monotonic() > deadline:
                ends = " | ".join(self.agents[number].log_end() for number in roles)
                told = {number: (each.get("role"), each.get("partner")) for number, each in said.items()}
                raise RowFailed(f"roles {roles} not within {within_s:g} s: {told}; {ends}")
            time.sleep(0.05)

    def status(self, number: int) -> dict[str, Any]:
        """`authagent status --json` of one agent; empty while it does not answer."""
        command = [sys.executable, "-m", "authagent", "--config", str(self.config), "status", "--json"]
        done = subprocess.run([*command, "--id", str(number)], capture_output=True, cwd=ROOT, timeout=30)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return {}
        return answer

    def proxy(self, name: str) -> Child:
        """Start a proxy that takes commands, see tests.benchmark.worker."""
        child = worker(name, "tests.benchmark.worker", self.folder, str(self.config), name)
        self.children.append(child)
        return child


@contextlib.contextmanager
def open_farm(
    folder: Path,
    *,
    more: str = PLAIN,
    ports: tuple[int, int] | None = None,
    agent_program: tuple[str, ...] = ("-m", "authagent"),
) -> Iterator[Farm]:
    """A folder with configuration and secret; `more` is its [tls] part. Nothing is started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    port_1, port_2 = ports or (free_port(), free_port())
    config = folder / "authagent.toml"
    config.write_text(_CONFIGURATION.format(site=SITE, folder=folder, port_1=port_1, port_2=port_2, more=more))
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(32) + "\n")
    children: list[Child] = []
    with all_ended(children):
        yield Farm(folder, config, children, agent_program=agent_program)

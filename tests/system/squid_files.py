"""The files of a farm of Squids, and the commands that go by them; nothing is started here.

Rules of this file:

- The configuration is that of examples/squid, to the line; only addresses, ports and paths are put in their places, and
  each of those must be found there. And HAProxy is given more patience, for a machine that does much else.
- Squid runs as the user `proxy`, as Debian has it, and may read what the tests' own folders hide from others.
"""

import itertools
import os
import re
import secrets
import sys
from pathlib import Path

import attrs

from tests.ports import free_port, free_ports
from tests.system.fronts import put
from tests.system.processes import ROOT, Process

EXAMPLE = ROOT / "examples" / "squid"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
COOKIE = "sid"

AS_PROXY = ["setpriv", "--reuid=proxy", "--regid=proxy", "--init-groups"]
AS_PROXY += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]

_HASHES = "alice:$apr1$oFXsgiRt$9c7pik.GoNldNnE491fnl/\nbob:$apr1$i17eME8M$lkyWkFJTaQzdWXfbqEuo9/\n"

_MAIN = """\
# What Debian's squid.conf has, where it matters; then what a test needs.
acl SSL_ports port 443 1025-65535
acl Safe_ports port 80 443 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
include {folder}/conf.d/*.conf
http_access allow localhost
http_access deny all
http_port 127.0.0.1:{port}
coredump_dir {folder}
pid_filename none
cache_log {folder}/cache.log
cache deny all
cache_mem 8 MB
pinger_enable off
netdb_filename none
logfile_rotate 0
max_filedescriptors 16384
shutdown_lifetime 0 seconds
visible_hostname {name}
dns_nameservers 127.0.0.1
"""

_names = itertools.count(1)


@attrs.define
class Files:
    """Writes what each process of a farm goes by. All machines are this one, with ports of their own."""

    folder: Path
    agents: int
    switch_port: int
    """Where browsers reach HAProxy; 0 without one."""
    key: str = "address"
    _agent_ports: list[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._agent_ports = free_ports(self.agents)
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(32) + "\n")

    def agent(self, number: int, config: Path) -> Process:
        """An AuthAgent."""
        name = f"agent{number}"
        command = [sys.executable, "-m", "authagent", str(number), "--config", str(config)]
        command += ["--state-dir", str(self.folder / name)]
        return Process(name, command, self.folder / f"{name}.log")

    def machine(self, number: int) -> "MachineFiles":
        """Everything of one machine."""
        home = self.folder / f"m{number}"
        (home / "conf.d").mkdir(parents=True)
        made = MachineFiles(f"squid-{number}", home, *free_ports(2), free_port(), home / "authagent.toml")
        made.config.write_text(self._configuration(made, cuts=bool(self.switch_port) and number == 1))
        (home / "passwords").write_text(_HASHES)
        (home / "conf.d" / "one-login.conf").write_text(self._one_login(made))
        if self.switch_port:
            places = {"3129": f"127.0.0.1:{made.switched_port}", "10.1.0.10": "127.0.0.1"}
            text = put((EXAMPLE / "behind-a-switch.conf").read_text(), places)
            (home / "conf.d" / "behind-a-switch.conf").write_text(text)
        return made

    def squid(self, made: "MachineFiles") -> Process:
        """Its Squid, under a name of its own: of the segments that Squid makes under /dev/shm."""
        name = f"squid{os.getpid()}n{next(_names)}"
        path = made.home / "squid.conf"
        path.write_text(_MAIN.format(folder=made.home, port=made.port, name=name))
        command = [*(AS_PROXY if os.geteuid() == 0 else []), "squid", "-N", "-n", name, "-f", str(path)]
        return Process(name, command, made.home / "squid.log")

    def daemon(self, made: "MachineFiles") -> Process:
        """Its ProxyAgent."""
        command = [sys.executable, "-m", "proxyagent", "run", "--config", str(made.config), "--id", made.id]
        return Process(made.id, command, made.home / "proxyagent.log")

    def haproxy(self, machines: list["MachineFiles"]) -> Process:
        """The switch."""
        bind = f"127.0.0.1:{self.switch_port}"
        places = {"/run/haproxy/admin.sock": str(self.folder / "haproxy.sock"), ":3128": bind}
        places |= {" group authagent": "", "    user haproxy\n    group haproxy\n": ""}
        places |= {"timeout connect 300ms": "timeout connect 9s", "timeout check 400ms": "timeout check 9s"}
        example = put((EXAMPLE / "haproxy.cfg").read_text(), places)
        head, *servers = re.split(r"(?=^    server )", example, flags=re.MULTILINE)
        assert len(servers) == 2, "the example has two"
        lines = [f"    server {each.id} 127.0.0.1:{each.switched_port}\n" for each in machines]
        path = self.folder / "haproxy.cfg"
        path.write_text(head + "".join(lines))
        return Process("haproxy", ["haproxy", "-db", "-f", str(path)], self.folder / "haproxy.log")

    def _configuration(self, made: "MachineFiles", *, cuts: bool) -> str:
        """What `authagent init` would write for these agents, and the example's lines."""
        entry = '[[authagent]]\nid = {}\nhost = "127.0.0.1"\nport = {}\n'
        entries = "".join(entry.format(number, port) for number, port in enumerate(self._agent_ports, 1))
        head = f'site = "lan1"\nstate_dir = "{self.folder}/state"\n{entries}[[proxyagent]]\nid = "squid-*"\n'
        places = {
            "/run/authagent": str(self.folder / "c"),
            "127.0.0.1:3130": f"127.0.0.1:{made.log_port}",
            ":3128": f":{made.port}",
        }
        text = put((EXAMPLE / "authagent.toml").read_text(), places)
        if os.geteuid() != 0:
            text = put(text, {'group = "proxy"': 'group = ""'})
        if cuts:
            places = {"/run/haproxy/admin.sock": str(self.folder / "haproxy.sock")}
            text += put((EXAMPLE / "switch.toml").read_text(), places)
        if self.key != "address":
            text += f'[client]\nkey = "{self.key}"\ncookie = "{COOKIE}"\n'
        return f'{head}[security]\nsecret_file = "{self.folder}/secret"\n{text}'

    def _one_login(self, made: "MachineFiles") -> str:
        text = (EXAMPLE / "one-login.conf").read_text()
        if self.key != "address":  # as docs/howto/squid.md says
            of_helpers, of_log = f"%>a %{{Cookie:;{COOKIE}}}>h", f"%>a %#{{Cookie:;{COOKIE}}}>h"
            text = put(text, {"%>a /usr": f"{of_helpers} /usr", "one_login %>a\n": f"one_login {of_log}\n"})
        helper = f"/usr/bin/env PYTHONPATH={ROOT} {sys.executable} -m proxyagent"
        options = f"--config {made.config} --id {made.id}"
        return put(
            text,
            {
                "/etc/squid/passwords": str(made.home / "passwords"),
                "/usr/local/bin/proxyagent squid-session": f"{helper} squid-session {options}",
                "/usr/local/bin/proxyagent squid-login": f"{helper} squid-login {options}",
                "daemon:/var/log/squid/access.log": f"stdio:{made.home}/access.log",
                "127.0.0.1:3130": f"127.0.0.1:{made.log_port}",
            },
        )


@attrs.frozen
class MachineFiles:
    """Where one machine has what. Squid listens at `port`, and for the switch at `switched_port`."""

    id: str
    home: Path
    port: int
    switched_port: int
    log_port: int
    config: Path

    @property
    def control(self) -> str:
        """The control socket of its ProxyAgent."""
        return str(self.home.parent / "c" / f"lan1-proxyagent-{self.id}.sock")

"""The files of the squid farm: those of examples/squid_farm, to the line, with this machine's places in them.

Rules of this file:

- Machines of the example become addresses of loopback (10.1.0.11 is 127.0.0.11), so that all of them may use the same
  ports; whatever is replaced must be found, so that an example that changes breaks the demo loudly.
- Where the demo runs as root, Squid becomes the user `proxy`, and so do its helpers: they are let in by the mode of the
  control sockets.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from authagent.demo.cast import free_port

SQUIDS = (1, 2, 3)

_MAIN = """\
acl SSL_ports port 443 1025-65535
acl Safe_ports port 80 443 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
include {folder}/one-login.conf
http_access deny all
http_port {address}:{port}
coredump_dir {folder}
pid_filename none
cache_log {folder}/cache.log
cache deny all
cache_mem 8 MB
pinger_enable off
netdb_filename none
logfile_rotate 0
max_filedescriptors 8192
shutdown_lifetime 0 seconds
visible_hostname {name}
dns_nameservers 127.0.0.1
"""
"""What Debian's squid.conf has, where it matters; then what several Squids on one machine need."""


@attrs.frozen
class Ports:
    """Each is the same on every machine of the farm that uses it."""

    agent: int = attrs.field(factory=free_port)
    squid: int = attrs.field(factory=free_port)
    """Where browsers could reach a Squid without the switch."""
    behind: int = attrs.field(factory=free_port)
    """Where the switch reaches it."""
    log: int = attrs.field(factory=free_port)
    check: int = attrs.field(factory=free_port)
    switch: int = attrs.field(factory=free_port)
    page: int = attrs.field(factory=free_port)
    directory: int = attrs.field(factory=free_port)


def examples() -> Path:
    """The example's folder: beside this file in an installation, in examples/ in a checkout."""
    here = Path(__file__).resolve().parent
    for path in (here / "squid_farm", here.parent.parent / "examples" / "squid_farm"):
        if path.is_dir():
            return path
    raise FileNotFoundError(f"squid_farm is neither in {here} nor in examples/: install again")


def address(squid: int) -> str:
    """Where a Squid's machine is."""
    return f"127.0.0.1{squid}"


@attrs.frozen
class Files:
    """Writes them into `folder`."""

    folder: Path
    ports: Ports

    def write(self) -> None:
        """All of them, and the secret."""
        for name in ("control", "directory", *(f"squid{each}" for each in SQUIDS)):
            (self.folder / name).mkdir()
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(32) + "\n")
        for squid in SQUIDS:
            self._write_machine(squid)
        self._write("switch.toml", self._configuration("switch.toml", self._switch_places()))
        places = {
            "    user haproxy\n    group haproxy\n": "",
            "/run/haproxy/admin.sock mode 660 group authagent": f"{self.folder}/haproxy.sock mode 600",
            "bind :3128": f"bind 127.0.0.1:{self.ports.switch}",
            "9088": str(self.ports.check),
            "3129": str(self.ports.behind),
        }
        self._write("haproxy.cfg", _put(_example("haproxy.cfg"), places))
        self._write("slapd.conf", _put(_example("slapd.conf"), {"/var/lib/ldap": f"{self.folder}/directory"}))

    def config(self, machine: str) -> Path:
        """The authagent.toml of `squid1` to `squid3`, or of the `switch`."""
        return self.folder / f"{machine}.toml"

    def _write_machine(self, squid: int) -> None:
        name = f"squid{squid}"
        ports = {"9088": str(self.ports.check), "3130": str(self.ports.log), ":3128": f":{self.ports.squid}"}
        own = {"127.0.0.1": address(squid), '":9088"': f'"{address(squid)}:9088"'}
        self._write(f"{name}.toml", self._configuration("squid.toml", {**own, **ports}))
        helper = f"/usr/bin/env PYTHONPATH={Path(__file__).resolve().parents[2]} {sys.executable} -m proxyagent"
        options = f"--config {self.config(name)} --id squid-{squid}"
        places = {
            "-ZZ ": "",
            "ldap://10.1.0.10": f"ldap://127.0.0.1:{self.ports.directory}",
            "/usr/local/bin/proxyagent squid-session": f"{helper} squid-session {options}",
            "/usr/local/bin/proxyagent squid-login": f"{helper} squid-login {options}",
            "daemon:/var/log/squid": f"stdio:{self.folder}/{name}",
            "8080": str(self.ports.page),
            "127.0.0.1:3130": f"{address(squid)}:{self.ports.log}",
            "http_port 3129": f"http_port {address(squid)}:{self.ports.behind}",
        }
        self._write(f"{name}/one-login.conf", _put(_example("one-login.conf"), places))
        main = _MAIN.format(
            folder=self.folder / name, address=address(squid), port=self.ports.squid, name=f"squid-{squid}"
        )
        self._write(f"{name}/squid.conf", main)

    def _switch_places(self) -> dict[str, str]:
        return {
            "127.0.0.1:389": f"127.0.0.1:{self.ports.directory}",
            "10.1.0.10:8080": f"127.0.0.1:{self.ports.page}",
            "/run/haproxy/admin.sock": f"{self.folder}/haproxy.sock",
        }

    def _configuration(self, more: str, places: Mapping[str, str]) -> str:
        """authagent.toml with what one kind of machine has behind it. All ProxyAgents dial from this very machine."""
        own = {"/run/authagent": f"{self.folder}/control", 'group = "proxy"': 'group = ""'}
        own["0660"] = "0666" if os.geteuid() == 0 else "0600"
        text = _put(_example("authagent.toml"), own)
        text = re.sub(r'(id = "[^"]+"\nhost) = ".*"', r'\1 = "127.0.0.1"', text)
        text = re.sub(r'(id = \d\nhost = ".*")', rf"\1\nport = {self.ports.agent}", text)
        security = f'[security]\nsecret_file = "{self.folder}/secret"\n'
        return f'state_dir = "{self.folder}/state"\n{text}{_put(_example(more), places)}{security}'

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(re.sub(r"10\.1\.0\.10\b", "127.0.0.1", text).replace("10.1.0.", "127.0.0."))


def _example(name: str) -> str:
    return (examples() / name).read_text()


def _put(text: str, places: Mapping[str, str]) -> str:
    for old, new in places.items():
        if old not in text:
            raise AssertionError(f"{old} is not in the example")
        text = text.replace(old, new)
    return text

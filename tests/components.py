"""Install what the tests need of Debian and Python cannot bring: `python tests/components.py`.

Rules of this file:

- A component is a command, the package that has it, and what the tests do with it.
- As root on a machine with apt the missing ones are installed, without their recommendations, and the services
  that the packages would start are kept from starting: the tests start their own, on free loopback ports.
- Otherwise they are named, with the command that installs them; the tests that need them say so and are skipped,
  except with CI=true, where a missing component is a failure.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Component(NamedTuple):
    """A command that tests or benchmarks start."""

    command: str
    package: str
    used_for: str


COMPONENTS = (
    Component("redis-server", "redis-server", "the peer that benchmarks compare with"),
    Component("redis-sentinel", "redis-sentinel", "the failover that benchmarks compare with"),
    Component("haproxy", "haproxy", "the L4 switch in front of the demo's proxies"),
    Component("nginx", "nginx-light", "a front that asks the endpoint for forward authentication"),
    Component("squid", "squid", "the proxy of most farms, with our helpers"),
    Component("curl", "curl", "a user of proxies"),
    Component("wrk", "wrk", "load through proxies, for benchmarks"),
    Component("systemd-analyze", "systemd", "checking the units"),
    Component("logrotate", "logrotate", "reading the file for it"),
    Component("groff", "groff", "formatting the manual pages"),
    Component("zsh", "zsh", "reading the completions made for it"),
    Component("fish", "fish", "reading the completions made for it"),
    Component("promtool", "prometheus", "checks metrics, alert rules and their tests"),
    Component("ip", "iproute2", "network namespaces, in which links are cut"),
    Component("nft", "nftables", "cutting links in one direction"),
    Component("faketime", "faketime", "wall clocks of single processes that jump"),
    Component("node", "nodejs", "libraries that read the failover cookie too"),
    Component("npm", "npm", "installing these libraries"),
    Component("chromium", "chromium", "looks at the status page"),
    Component("slapd", "slapd", "the directory behind the login page"),
    Component("spin", "spin", "the model of the pair, gone through in every order"),
    Component("gcc", "build-essential", "compiling what spin makes of the model"),
)

SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/bin"
"""Debian keeps some of these commands outside an ordinary user's PATH."""


def missing() -> list[Component]:
    """The components that are not here."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}"
    return [component for component in COMPONENTS if shutil.which(component.command, path=path) is None]


def install(components: list[Component]) -> None:
    """Install their packages; raises subprocess.CalledProcessError with apt's own words on standard error."""
    packages = [component.package for component in components]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment, stdout=subprocess.DEVNULL)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """While inside, packages may not start services: Debian asks this file, and exit code 101 forbids it.

    A machine that has such a file already keeps it.
    """
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def main() -> int:
    """Install or name what is missing; the exit code is 1 only where that must stop the tests."""
    wanted = missing()
    if not wanted:
        return 0
    packages = " ".join(component.package for component in wanted)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing for the tests: {packages}", flush=True)
        try:
            install(wanted)
        except subprocess.CalledProcessError as error:
            print(f"apt-get failed: {error}", file=sys.stderr)
        wanted = missing()
    for component in wanted:
        print(
            f"Not installed: {component.command} ({component.used_for}); apt-get install {component.package}",
            file=sys.stderr,
        )
    return 1 if wanted and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())

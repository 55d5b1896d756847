"""The wheel: what is in it, and that it works alone in a fresh environment with what it says it needs.

Nothing is fetched: the build backend and the dependencies are those of the development environment; the fresh
environment is given links to the declared dependencies and their own, and to nothing else.
"""

import email
import importlib.metadata
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authagent.running import write_files
from tests.repository import tree

pytestmark = pytest.mark.slow

NEEDS_AN_EXTRA = ("forward_auth", "http", "login", "page")
"""Folders that are imported only by who asks for what they do."""


def _run(*arguments: str | Path) -> str:
    """Run a command away from the repository, without its environment's Python settings; its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))}
    command = [str(argument) for argument in arguments]
    done = subprocess.run(command, cwd=os.sep, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        sys.executable, "-m", "pip", "wheel", tree.ROOT,
        "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def _needed(name: str, seen: set[str]) -> Iterator[importlib.metadata.Distribution]:
    """A distribution and all that it needs, without extras and without what is for other systems."""
    distribution = importlib.metadata.distribution(name)
    seen.add(name)
    yield distribution
    for line in distribution.requires or ():
        requirement, _, marker = line.partition(";")
        needed = re.split(r"[\s\[<>=!~(]", requirement.strip(), maxsplit=1)[0]
        if needed in seen or "extra" in marker:
            continue
        try:
            yield from _needed(needed, seen)
        except importlib.metadata.PackageNotFoundError:
            assert marker, f"{name} needs {needed}, which is not installed"


def _requirements(wheel: Path) -> list[str]:
    """The names that a bare install brings, from the wheel's own words."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist") or []
    return [re.split(r"[<>=; ]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel and only what it declares."""
    environment = tmp_path_factory.mktemp("fresh")
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    packages = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    seen: set[str] = set()
    for name in _requirements(wheel):
        for distribution in _needed(name, seen):
            for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
                link = packages / top
                if top != "__pycache__" and not link.exists():
                    link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return environment / "bin"


def test_the_wheel_has_three_packages_and_no_more(wheel: Path) -> None:
    """The top levels are authagent, protocol and proxyagent: `tests` or `docs` would collide with everybody's."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"authagent", "protocol", "proxyagent"}


def test_the_wheel_has_what_is_not_python(wheel: Path) -> None:
    """The type markers, the licence, and the examples that the demo starts are in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    wanted = {f"{package}/py.typed" for package in tree.PACKAGES} | {"authagent/demo/minimal_proxy.py"}
    wanted |= {f"authagent/demo/squid_farm/{path.name}" for path in (tree.ROOT / "examples" / "squid_farm").iterdir()}
    assert wanted <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_every_source_file_is_in_the_wheel(wheel: Path) -> None:
    """What the tests see is what is installed."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {tree.name(path) for path in tree.sources()} <= names


def test_a_bare_install_is_light(wheel: Path) -> None:
    """Without extras come the libraries of DESIGN section 12's core and nothing that serves web pages or tests."""
    assert sorted(_requirements(wheel)) == [
        "attrs", "cattrs", "click", "cryptography", "msgpack", "scramp", "structlog", "trio", "zstandard",
    ]  # fmt: skip


def test_the_commands_work_in_a_fresh_environment(installed: Path) -> None:
    """`authagent --version`, and the help of both programs, with nothing but the declared dependencies."""
    import authagent

    assert authagent.__version__ in _run(installed / "authagent", "--version")
    assert "status" in _run(installed / "authagent", "--help")
    assert "send-sync-to-agent" in _run(installed / "proxyagent", "--help")


def test_every_module_imports_in_a_fresh_environment(installed: Path) -> None:
    """No file of the packages leans on a library that only the development environment has, or on an extra."""
    skipped = ("__main__", "minimal_proxy", "login_page", "mitmproxy")  # the last has the environment of its namesake
    modules = [
        tree.name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in tree.sources()
        if path.stem not in skipped and path.parent.name not in NEEDS_AN_EXTRA
    ]
    _run(installed / "python", "-c", f"import {', '.join(modules)}")


def test_a_bare_install_serves_and_says_which_extra_is_missing(installed: Path, tmp_path: Path) -> None:
    """[http] and [[webhook]] without the extra cost one line each; the agent runs, and ends with 0."""
    hook = '[[webhook]]\nurl = "http://127.0.0.1:1/"\nsecret = "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"\n'
    path = write_files(tmp_path, more='[http]\nlisten = "127.0.0.1:9080"\n[timing]\nconnect_attempts = 1\n')
    path.write_text(path.read_text() + hook)
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = [str(installed / "authagent"), "1", "--config", str(path)]
        agent = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path, env={"PATH": os.defpath})
    try:
        deadline_s = time.monotonic() + 60
        wanted = ("http.failed", "webhook.unusable", "authagent.started")
        while not all(event in log.read_text() for event in wanted):
            assert time.monotonic() < deadline_s and agent.poll() is None, log.read_text()
            time.sleep(0.05)
    finally:
        agent.terminate()
        code = agent.wait(60)
    alarms = [line for line in log.read_text().splitlines() if " alarm " in line]
    assert code == 0 and len(alarms) == 2
    assert all('which is not installed: pip install \\"one-login[http]\\"' in line for line in alarms)

"""What `make install` writes: where, what, and whether the programs that read it take it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.repository import tree

PACKAGING = tree.ROOT / "packaging"
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def installer() -> ModuleType:
    """packaging/install.py as a module; packaging is no package."""
    spec = importlib.util.spec_from_file_location("install", PACKAGING / "install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(prefix: str, destination: Path) -> "subprocess.CompletedProcess[str]":
    """`make install` with DESTDIR, to its end."""
    command = ["make", "-s", "install", f"PYTHON={sys.executable}", f"PREFIX={prefix}", f"DESTDIR={destination}"]
    return subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The prefix, with programs that do nothing, and the folder below which everything else was written."""
    folder = tmp_path_factory.mktemp("install")
    prefix, destination = folder / "opt", folder / "dest"
    (prefix / "bin").mkdir(parents=True)
    for program in ("authagent", "proxyagent"):
        (prefix / "bin" / program).write_text("#!/bin/sh\n")
        (prefix / "bin" / program).chmod(0o755)
    done = install(str(prefix), destination)
    assert done.returncode == 0, done.stderr
    return prefix, destination


def written(destination: Path) -> set[str]:
    """Every file, as it will be on the machine."""
    return {f"/{path.relative_to(destination)}" for path in destination.rglob("*") if path.is_file()}


def test_files_go_where_an_administrator_has_them(installed: tuple[Path, Path]) -> None:
    """And the how-to lists each of them."""
    _, destination = installed
    paths = written(destination)
    text = (tree.ROOT / "docs" / "howto" / "install.md").read_text(encoding="utf-8")

    assert len(paths) == 12
    assert all(path.startswith(("/etc/", "/usr/local/")) for path in paths)
    assert [path for path in sorted(paths) if f"`{path}`" not in text] == []


def test_with_prefix_usr_files_go_where_a_package_has_them(tmp_path: Path) -> None:
    """As Debian lays them out; the how-to lists each of these too."""
    assert install("/usr", tmp_path).returncode == 0
    paths = written(tmp_path)
    text = (tree.ROOT / "docs" / "howto" / "install.md").read_text(encoding="utf-8")

    assert not any(path.startswith("/usr/local") for path in paths)
    assert "ExecStart=/usr/bin/authagent\n" in (tmp_path / "usr/lib/systemd/system/authagent.service").read_text()
    assert [path for path in sorted(paths) if f"`{path}`" not in text] == []


@pytest.mark.parametrize("unit", ["authagent.service", "proxyagent@squid-1.service"])
def test_systemd_takes_the_units(unit: str, installed: tuple[Path, Path], tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing to say."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    _, destination = installed
    template = re.sub(r"@.*\.", "@.", unit)
    path = tmp_path / unit
    path.write_text((destination / "etc/systemd/system" / template).read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", ["authagent.service", "proxyagent@.service"])
def test_units_say_what_the_programs_rely_on(unit: str, installed: tuple[Path, Path]) -> None:
    """Each of these has a reason in the code: notify.py, secret_file.py, places.py, the exit codes."""
    prefix, destination = installed
    text = (destination / "etc/systemd/system" / unit).read_text()
    program = unit.partition(".")[0].rstrip("@")

    for line in (
        "Type=notify", "RestartPreventExitStatus=2", "LoadCredential=secret:/etc/authagent/secret", "User=authagent",
        "StateDirectory=authagent", "RuntimeDirectory=authagent", "NoNewPrivileges=yes", "ProtectSystem=strict",
    ):  # fmt: skip
        assert f"\n{line}\n" in text, line
    assert "\nWatchdogSec=" in text
    assert f"\nExecStart={prefix}/bin/{program}" in text and f"\nExecReload={prefix}/bin/{program} reload" in text
    assert ("\nBefore=squid.service\n" in text) is (program == "proxyagent")
    assert "@PREFIX@" not in text


def test_a_changed_file_of_etc_is_kept(tmp_path: Path) -> None:
    """Ours is written beside it; a unit is ours, and changed in a drop-in."""
    assert install("/usr", tmp_path).returncode == 0
    rotation, unit = tmp_path / "etc/logrotate.d/authagent", tmp_path / "usr/lib/systemd/system/authagent.service"
    rotation.write_text("# mine\n")
    unit.write_text("# mine\n")
    assert install("/usr", tmp_path).returncode == 0

    assert rotation.read_text() == "# mine\n"
    assert "postrotate" in (rotation.parent / "authagent.new").read_text()
    assert "ExecStart" in unit.read_text()


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """No traceback for a folder that is a file."""
    (tmp_path / "etc").write_text("")
    done = install("/usr", tmp_path)

    assert done.returncode != 0
    assert "install: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_are_scripts_of_their_shells(shell: str, installed: tuple[Path, Path]) -> None:
    """Each shell that is here reads its own without complaint."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    _, destination = installed
    for program in ("authagent", "proxyagent"):
        path = destination / "usr/local" / installer().COMPLETIONS[shell].format(program=program)
        done = subprocess.run([*SHELLS[shell], str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "words", "expected"),
    [("authagent", "authagent sw", "switch"), ("authagent", "authagent secret a", "add"),
     ("proxyagent", "proxyagent look", "lookup"), ("authagent", "authagent status --j", "--json")],
)  # fmt: skip
def test_what_is_begun_is_completed(program: str, words: str, expected: str) -> None:
    """Verbs, verbs below others, and options."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), f"_{program.upper()}_COMPLETE": "bash_complete"}
    environment = {**os.environ, **asked}
    done = subprocess.run(
        [sys.executable, "-m", program], cwd=tree.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert f"plain,{expected}" in done.stdout.split()


def test_logrotate_takes_its_file(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """It has a user in it that a machine for tests lacks: anything else is a mistake."""
    if shutil.which("logrotate") is None:
        pytest.skip("logrotate is not installed")
    text = (installed[1] / "etc/logrotate.d/authagent").read_text()
    path = tmp_path / "authagent"
    path.write_text(text.replace("su authagent authagent", "su root root").replace("0640 authagent authagent", "0640"))
    path.chmod(0o644)
    done = subprocess.run(["logrotate", "-d", str(path)], capture_output=True, text=True, check=False)
    assert "error" not in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("program", ["authagent", "proxyagent"])
def test_manual_pages_are_read_without_a_warning(program: str) -> None:
    """By groff, as man(1) has it read them."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    path = tree.ROOT / "docs" / "man" / f"{program}.1"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_container_file_copies_what_there_is() -> None:
    """Every name that it copies is in the repository, and every part of the wheel is copied."""
    text = (PACKAGING / "Containerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for name in line.split()[:-1]}

    assert {name for name in copied if not (tree.ROOT / name).exists()} == set()
    assert {"authagent", "protocol", "proxyagent", "examples", "pyproject.toml", "README.md", "LICENSE"} <= copied

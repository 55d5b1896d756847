"""Installs both programs with all that belongs to them: `make install PREFIX=/opt/authagent`.

Rules of this file:

- The programs go into an environment of their own at PREFIX, because the names of their packages are taken elsewhere.
- What Debian would do with a package is done: units, a system user, manual pages, completions, log rotation. With
  PREFIX=/usr files go where a package of the distribution has them, otherwise where an administrator has them.
- With DESTDIR everything but the environment is written below it, for whoever builds a package.
- A file of /etc that somebody has changed is kept; ours is written beside it, as FILE.new.
- Nothing is started or enabled. What is left to do is printed.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"

PROGRAMS = ("authagent", "proxyagent")

COMPLETIONS = {
    "bash": "share/bash-completion/completions/{program}",
    "zsh": "share/zsh/site-functions/_{program}",
    "fish": "share/fish/vendor_completions.d/{program}.fish",
}
"""Where each shell looks for them below /usr and /usr/local."""


class Piece(NamedTuple):
    """One file: where it goes, what is in it, and whether an administrator may change it."""

    path: str
    content: str
    kept: bool = False


def pieces(prefix: str, completions: dict[tuple[str, str], str]) -> Iterator[Piece]:
    """Every file but the programs. `completions` are texts by program and shell."""
    usr = "/usr" if prefix == "/usr" else "/usr/local"
    units = "/usr/lib/systemd/system" if prefix == "/usr" else "/etc/systemd/system"
    users = "/usr/lib/sysusers.d" if prefix == "/usr" else "/etc/sysusers.d"
    for unit in ("authagent.service", "proxyagent@.service"):
        yield Piece(f"{units}/{unit}", _text(PACKAGING / unit).replace("@PREFIX@", prefix))
    yield Piece(f"{users}/authagent.conf", _text(PACKAGING / "authagent.sysusers"))
    yield Piece("/etc/logrotate.d/authagent", _text(PACKAGING / "authagent.logrotate"), kept=True)
    for program in PROGRAMS:
        yield Piece(f"{usr}/share/man/man1/{program}.1", _text(ROOT / "docs" / "man" / f"{program}.1"))
    for (program, shell), text in completions.items():
        yield Piece(f"{usr}/{COMPLETIONS[shell].format(program=program)}", text)


def write(piece: Piece, destination: str) -> str:
    """Write one file below `destination`; returns what was done. Blocks on the disk."""
    path = Path(f"{destination}{piece.path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if piece.kept and path.exists() and _text(path) != piece.content:
        path = path.with_name(f"{path.name}.new")
    path.write_text(piece.content, encoding="utf-8")
    path.chmod(0o644)
    return f"wrote {path}"


def make_environment(prefix: str) -> None:
    """The programs and what they need, at PREFIX. Raises CalledProcessError with pip's own words on standard error."""
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    subprocess.run([f"{prefix}/bin/pip", "install", "--quiet", "--upgrade", str(ROOT)], check=True)


def link(prefix: str) -> Iterator[str]:
    """Make the programs known to every shell, unless they are in a usual place already."""
    for program in PROGRAMS:
        path = Path("/usr/local/bin", program)
        target = f"{prefix}/bin/{program}"
        if prefix in ("/usr", "/usr/local"):
            continue
        if path.is_symlink() or not path.exists():
            path.unlink(missing_ok=True)
            path.symlink_to(target)
            yield f"linked {path} to {target}"
        else:
            yield f"kept {path}, which is not ours; the program is {target}"


def completion(interpreter: str, folder: str, program: str, shell: str) -> str:
    """The completion script of one program, as click makes it; the packages are found from `folder`, or installed."""
    variable = f"_{program.upper()}_COMPLETE"
    done = subprocess.run(
        [interpreter, "-c", f"from {program}.cli import cli; cli(prog_name={program!r})"],
        env={**os.environ, variable: f"{shell}_source"},
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def main() -> int:
    """Install everything; returns the exit code. Blocks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prefix", default="/opt/authagent", help="where the programs go")
    parser.add_argument("--destdir", default="", help="write files below this folder, and no programs")
    given = parser.parse_args()
    prefix = os.path.abspath(given.prefix)
    try:
        if not given.destdir:
            make_environment(prefix)
        where = (sys.executable, str(ROOT)) if given.destdir else (f"{prefix}/bin/python", "/")
        names = [(program, shell) for program in PROGRAMS for shell in COMPLETIONS]
        made = {(program, shell): completion(*where, program, shell) for program, shell in names}
        for piece in pieces(prefix, made):
            print(write(piece, given.destdir))
        if not given.destdir:
            for line in link(prefix):
                print(line)
            print(_NEXT, end="")
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd[:3]))
        print(f"install: {command} ... failed: {error.stderr or 'see above'}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"install: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


_NEXT = """
What is left to do, as root:
  systemd-sysusers                                       the user `authagent`
  authagent init /etc/authagent                          a configuration and a secret, or copy yours there
  systemctl daemon-reload
  systemctl enable --now authagent                       on the machines of the agents
  systemctl enable --now proxyagent@NAME                 on those of the proxies
"""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

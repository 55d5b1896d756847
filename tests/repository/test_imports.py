"""What importing really loads, seen from a fresh interpreter; and that `protocol` is ours.

The contracts of pyproject.toml judge what files say; these tests judge what a running Python then holds.
"""

from pathlib import Path

import pytest

from tests.repository import interpreter, tree

WORLD = {"asyncio", "logging", "socket", "sqlite3", "ssl", "subprocess", "trio"}
BY_SCRAMP = {"protocol.connection", "protocol.handshake"}
"""They load ssl and socket because scramp does, for a helper that they do not call."""

HEAVY = {"asyncio", "cattrs", "cryptography", "rich", "sqlite3", "structlog", "trio"}
CONTROL_VERBS = [
    ("authagent", "status"),
    ("authagent", "sessions"),
    ("authagent", "logout", "10.0.0.1"),
    ("proxyagent", "status"),
    ("proxyagent", "squid-session"),
    ("proxyagent", "lookup", "10.0.0.1"),
    ("proxyagent", "login", "10.0.0.1", "--user", "alice"),
    ("proxyagent", "send-sync-to-agent"),
]


def _module(path: Path) -> str:
    return tree.name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.slow
def test_pure_rooms_load_no_world() -> None:
    """Importing every pure file of protocol and of the agent's mind brings in no socket, loop, disk or log."""
    modules = [_module(path) for path in tree.sources() if tree.pure(path) and not path.match("proxyagent/**/*")]
    pure = [module for module in modules if module not in BY_SCRAMP]
    assert len(pure) > 30
    assert interpreter.loaded_by(f"import {', '.join(pure)}") & WORLD == set()


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(BY_SCRAMP))
def test_the_handshake_brings_in_no_loop(module: str) -> None:
    """The handshake's library loads ssl for itself, but no loop and no disk comes with it."""
    assert interpreter.loaded_by(f"import {module}") & (WORLD - {"socket", "ssl", "logging", "subprocess"}) == set()


@pytest.mark.slow
@pytest.mark.parametrize("verb", CONTROL_VERBS, ids=" ".join)
def test_control_verbs_load_little(verb: tuple[str, ...], tmp_path: Path) -> None:
    """A verb that only asks a control socket imports no loop, no log, no colours"""
    environment = {"HOME": str(tmp_path), "AUTHAGENT_CONFIG": "", "PROXYAGENT_CONTROL": str(tmp_path / "none.sock")}

    assert interpreter.loaded_by_command(*verb, **environment) & HEAVY == set()


@pytest.mark.slow
@pytest.mark.parametrize("package", ["authagent", "proxyagent"])
def test_a_foreign_protocol_is_named_with_the_cure(package: str, tmp_path: Path) -> None:
    """Where another `protocol` comes first, importing either package says which file it is and what to do."""
    foreign = tmp_path / "protocol" / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("def unrelated(): ...\n")

    done = interpreter.run("-c", f"import {package}", path=(tmp_path, tree.ROOT))

    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"ImportError: {package} needs its own package `protocol`")
    assert str(foreign) in last
    assert "uninstall protocol" in last


@pytest.mark.slow
def test_a_foreign_protocol_that_is_loaded_already_is_noticed(tmp_path: Path) -> None:
    """A host program that imported another `protocol` before us gets the same clear error."""
    foreign = tmp_path / "protocol.py"
    foreign.write_text("")

    code = f"import sys; import protocol; sys.path.insert(0, {str(tree.ROOT)!r}); import authagent"
    done = interpreter.run("-c", code, path=(tmp_path,))

    assert f"Python finds {foreign}" in done.stderr


@pytest.mark.slow
def test_importing_authagent_is_light() -> None:
    """`import authagent` gives the version and loads nothing but a few modules of the standard library."""
    loaded = interpreter.loaded_by("import authagent; assert authagent.__version__")

    assert loaded & (HEAVY | {"attr", "click"}) == set()

"""Which back end [login] names, and what is said of one that cannot be used."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from proxyagent.config import ProxySetup, load
from proxyagent.login import backends
from proxyagent.login.custom import Custom
from proxyagent.login.directory import Directory
from proxyagent.login.htpasswd import Htpasswd
from proxyagent.login.identity import BackendUnusable

LDAP = '[ldap]\nurls = ["ldaps://dc1.example.org"]\nbase = "dc=example"\n'


def setup(folder: Path, backend: str, more: str = "") -> ProxySetup:
    path = folder / "authagent.toml"
    path.write_text(f'[login]\nlisten = "127.0.0.1:8080"\nbackend = "{backend}"\n{more}')
    return load(str(path), id="p1")


def test_each_kind_is_made(tmp_path: Path) -> None:
    """Files are relative to the configuration."""
    (tmp_path / "users").touch()
    (tmp_path / "word").touch(0o600)
    (tmp_path / "word").write_text("secret words\n")
    assert isinstance(backends.make(setup(tmp_path, "htpasswd:users")), Htpasswd)
    assert isinstance(backends.make(setup(tmp_path, "ldap", LDAP)), Directory)
    reader = 'bind_dn = "cn=reader"\npassword_file = "word"\n'
    assert isinstance(backends.make(setup(tmp_path, "ldap", LDAP + reader)), Directory)
    own = f"python:{__name__}:check"
    assert isinstance(backends.make(setup(tmp_path, own)), Custom)


async def check(user: str, password: str, address: str) -> None:
    """A back end of an operator's own."""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('bind_dn = "cn=x"\npassword_file = "missing"\n', r"\[ldap\] password_file: .*no such file"),
        ('bind_dn = "cn=x"\npassword_file = "open"\n', r"\[ldap\] password_file: .*mode 0644 opens it"),
        ('bind_dn = "cn=x"\npassword_file = "two"\n', r"\[ldap\] password_file: .*must hold one line"),
        ('authority = "missing"\n', r"\[ldap\] authority .*No such file"),
        ('authority = "two"\n', r"\[ldap\] authority: there is no certificate in it"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, more: str, told: str) -> None:
    """In one line, without what is in them."""
    for name, mode in (("open", 0o644), ("two", 0o600)):
        (tmp_path / name).write_text("one line\nanother\n"[: 9 if name == "open" else None])
        (tmp_path / name).chmod(mode)
    with pytest.raises(BackendUnusable, match=told) as caught:
        backends.make(setup(tmp_path, "ldap", LDAP + more))
    assert "\n" not in str(caught.value) and "another" not in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "module", "extra"), [("ldap", "directory", "ldap"), ("htpasswd:u", "htpasswd", "http")]
)
def test_a_missing_extra_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, module: str, extra: str
) -> None:
    """It says what to install."""
    real = builtins.__import__

    def bare(name: str, *arguments: Any, **more: Any) -> Any:
        if name == f"proxyagent.login.{module}":
            raise ModuleNotFoundError("No module named 'nothing'", name="nothing")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", bare)
    with pytest.raises(BackendUnusable, match=rf'needs nothing, .*pip install "one-login\[{extra}\]"'):
        backends.make(setup(tmp_path, backend, LDAP))

"""keygen, cookie seal and cookie open, as an operator types them."""

import io
import json
import sys
from pathlib import Path

import click.testing
import pytest

from protocol.mistakes import MistakesFound
from proxyagent import cookie_verbs
from proxyagent.cli import cli
from tests.proxyagent.cookie_forge import SOURCE_COOKIE, SOURCE_KEY, forged
from tests.proxyagent.processes import call


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A key that was made on the command line."""
    path = str(tmp_path / "cookie.key")
    invoked("keygen", path)
    return path


def invoked(*words: str, code: int = 0, stdin: str | None = None) -> str:
    """Run a verb in this process; what it printed, or the error that main() would print."""
    result = click.testing.CliRunner().invoke(cli, words, input=stdin)
    if isinstance(result.exception, MistakesFound):
        assert code == 2, result.exception
        return str(result.exception)
    assert result.exit_code == code, result.output
    return str(result.output)


def test_seal_and_open_as_the_issue_has_it(key: str) -> None:
    """As processes: what is sealed is opened, the user first; a refused one is exit code 1, a used file code 2."""
    words = ("--key", key, "--user", "alice", "--claim", "groups=staff", "--lifetime", "60")
    token = call("cookie", "seal", *words).strip()
    assert call("cookie", "open", "--key", key, token) == "alice\ngroups=staff\n"
    assert call("cookie", "open", "--key", key, token[:-1], code=1) == ""
    assert "never overwritten" in call("keygen", key, code=2)


def test_open_reads_standard_input(key: str) -> None:
    """`-` keeps the cookie out of the list of processes; a newline at its end is no part of it."""
    token = invoked("cookie", "seal", "--key", key, "--user", "alice")
    assert invoked("cookie", "open", "--key", key, "-", stdin=token) == "alice\n"
    assert "refused" in invoked("cookie", "open", "--key", key, "-", code=1, stdin="x" * 100_000)


def test_json_has_user_expiry_and_claims(key: str) -> None:
    """A claim that is given twice is a list."""
    words = ("--claim", "g=a", "--claim", "g=b", "--claim", "mail=a=b")
    token = invoked("cookie", "seal", "--key", key, "--user", "alice", *words).strip()
    said = json.loads(invoked("cookie", "open", "--json", "--key", key, token))
    assert said["user"] == "alice" and said["claims"] == {"g": ["a", "b"], "mail": "a=b"}
    assert said["expires_at"].endswith("Z")


def test_the_lifetime_counts(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour by default; at its last second the cookie is over."""
    monkeypatch.setattr(cookie_verbs, "_now_s", lambda: 1_000.0)
    token = invoked("cookie", "seal", "--key", key, "--user", "u").strip()
    monkeypatch.setattr(cookie_verbs, "_now_s", lambda: 4_599.0)
    invoked("cookie", "open", "--key", key, token)
    monkeypatch.setattr(cookie_verbs, "_now_s", lambda: 4_600.0)
    invoked("cookie", "open", "--key", key, token, code=1)


def test_the_sources_cookie_needs_compatibility_and_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is refused with the reason; asked for compatibility it opens, were it not for its date."""
    path = tmp_path / "key"
    path.write_bytes(SOURCE_KEY)
    assert "AES key" in invoked("cookie", "open", "--key", str(path), SOURCE_COOKIE, code=2)
    words = ("cookie", "open", "--key", str(path), "--compatibility", "iag", SOURCE_COOKIE)
    assert "refused" in invoked(*words, code=1)
    monkeypatch.setattr(cookie_verbs, "_now_s", lambda: 1_574_411_000.0)
    said = invoked(*words)
    assert "testuser\n" in said and "anybody can read the cookies" in said


def test_several_keys_are_one_ring(key: str, tmp_path: Path) -> None:
    """The first writes, all are read."""
    new = str(tmp_path / "new")
    invoked("keygen", new)
    old_token = invoked("cookie", "seal", "--key", key, "--user", "u").strip()
    new_token = invoked("cookie", "seal", "--key", new, "--key", key, "--user", "u").strip()
    for token in (old_token, new_token):
        assert invoked("cookie", "open", "--key", new, "--key", key, token) == "u\n"
    invoked("cookie", "open", "--key", key, new_token, code=1)
    assert "1 to 4 keys" in invoked("cookie", "seal", *("--key", key) * 5, "--user", "u", code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("--user", "u", "--claim", "x"),
        ("--user", "u", "--lifetime", "0"),
        ("--user", "u", "--lifetime", "nan"),
        ("--user", "u", "--lifetime", "604801"),
        ("--user", ""),
        ("--user", "u", "--claim", "AZN_CRED_PRINCIPAL_NAME=root"),
        ("--user", "u", "--claim", "x=" + "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(2_000))),
        ("--claim", "x=y"),
    ],
)
def test_what_cannot_be_sealed_is_exit_code_2(key: str, words: tuple[str, ...]) -> None:
    """No user, a claim without a value, a lifetime that is none, too much: one line, no cookie."""
    assert "eyJ" not in invoked("cookie", "seal", "--key", key, *words, code=2)


def test_without_joserfc_the_cure_is_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bare install has no cookies; keygen works there all the same."""
    from proxyagent import cookie

    monkeypatch.setitem(sys.modules, "joserfc.jwe", None)
    cookie._library.cache_clear()
    try:
        assert 'pip install "one-login[cookie]"' in invoked("cookie", "seal", "--key", key, "--user", "u", code=2)
        assert "one-login[cookie]" in invoked("cookie", "open", "--key", key, forged(), code=2)
    finally:
        cookie._library.cache_clear()


def test_what_a_cookie_says_cannot_forge_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line ends and escape sequences are printed as JSON."""
    path = tmp_path / "key"
    path.write_bytes(bytes(range(7, 71)))
    token = forged({"AZN_CRED_PRINCIPAL_NAME": "a\nroot=yes", "x\x1b[2J": "\x1b[31m", "n": 5, "o": {"p": None}})
    monkeypatch.setattr(sys, "stdin", io.StringIO(token))
    assert cookie_verbs.open_token([str(path)], "none", "-", as_json=False) == 0
    assert capsys.readouterr().out == '"a\\nroot=yes"\n"x\\u001b[2J"="\\u001b[31m"\nn=5\no={"p": null}\n'

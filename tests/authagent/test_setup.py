"""What one agent has in hand, and what of it a reload can change."""

import datetime
from pathlib import Path

import pytest
import trustme

from authagent import admin_password, setup
from authagent.config import Flags
from authagent.setup import Setup
from protocol import secret
from protocol.io.log import Log
from protocol.io.tls import TlsError
from protocol.mistakes import MistakesFound
from tests.authagent.running import write_files, write_secret

NOW_S = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC).timestamp()


def read(path: Path) -> Setup:
    return setup.read(Flags(config=str(path), number="1"), 7)


def with_tls(folder: Path, tls: str) -> Path:
    path = write_files(folder)
    path.write_text(path.read_text().replace('mode = "off"', tls))
    return path


def own_certificate(folder: Path, ends: datetime.datetime) -> None:
    """A certificate and its key, in the files that `[tls] mode = "files"` names below."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", not_after=ends)
    made.cert_chain_pems[0].write_to_path(folder / "c.pem")
    made.private_key_pem.write_to_path(folder / "k.pem")


def test_an_agent_has_its_identity_and_its_keys(tmp_path: Path) -> None:
    """Who it is on every link, and the digest's key, which is the oldest line's."""
    path = write_files(tmp_path, agents=2)
    new, old = write_secret(tmp_path, "kQ3vX8pLr2Zt7Wm9Bn4Yc6Hd", "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9")
    made = read(path)
    identity = made.identity
    assert (identity.kind, identity.site, identity.id, identity.incarnation) == ("agent", "lan1", "1", 7)
    assert made.partner is not None and made.partner.id == 2
    assert made.digest_key == secret.digest_key(old.encode())
    assert made.secret_id == secret.secret_id(old.encode())
    assert new not in repr(made) and old not in repr(made)


def test_a_missing_secret_is_one_line(tmp_path: Path) -> None:
    """It names the file."""
    path = write_files(tmp_path)
    (tmp_path / "secret").unlink()
    with pytest.raises(MistakesFound) as raised:
        read(path)
    assert len(str(raised.value).splitlines()) == 1
    assert "secret" in str(raised.value)


def test_tls_is_as_the_file_wants_it(tmp_path: Path) -> None:
    """Off; self-made, also where the state folder cannot be written; and files that are not there are named."""
    assert read(write_files(tmp_path)).tls is None
    assert read(with_tls(tmp_path, 'mode = "auto"')).tls is not None
    assert (tmp_path / "state" / "lan1-agent-1" / "certificate.pem").exists()
    (tmp_path / "file").write_text("")
    path = with_tls(tmp_path, 'mode = "auto"')
    path.write_text(path.read_text().replace(f'state_dir = "{tmp_path}/state"', f'state_dir = "{tmp_path}/file/x"'))
    assert read(path).tls is not None
    with pytest.raises((TlsError, OSError), match=r"none\.pem"):
        read(with_tls(tmp_path, 'mode = "files"\ncertificate = "none.pem"\nkey = "none.pem"'))


def test_an_own_certificate_that_ends_is_told(tmp_path: Path) -> None:
    """From 14 days before its end; a self-made one never."""
    ends = datetime.datetime(2026, 5, 20, tzinfo=datetime.UTC)
    own_certificate(tmp_path, ends)
    made = read(with_tls(tmp_path, 'mode = "files"\ncertificate = "c.pem"\nkey = "k.pem"'))
    assert made.certificate_ending(NOW_S) == ""
    assert "it ends in 9 days" in made.certificate_ending(NOW_S + 10 * 86_400)
    assert "it ended" in made.certificate_ending(NOW_S + 30 * 86_400)
    assert read(with_tls(tmp_path, 'mode = "auto"')).certificate_ending(NOW_S + 900 * 86_400) == ""


def test_what_a_reload_cannot_change_is_named(tmp_path: Path) -> None:
    """A partner more or less, or another port, is another identity; timing and others wait for a restart."""
    first = write_files(tmp_path, agents=2)
    old, text = read(first), first.read_text()
    more = '[timing]\nsuspect_after = "2s"\n[limits]\nsessions = 5_000\nconnections = 9\n'
    first.write_text(text.replace("[tls]", f"{more}[tls]"))
    new = read(first)
    assert old.same_identity(new)
    assert old.needs_restart(new) == ["[timing]", "[limits] sessions"]
    assert old.needs_restart(old) == []
    first.write_text(text.partition("[[authagent]]\nid = 2")[0])
    assert not old.same_identity(read(first))


def test_what_crosses_is_what_the_entries_of_both_sites_say(tmp_path: Path) -> None:
    """Patterns as names are kept; another filter waits for a restart, as another agent of another site does."""
    path = write_files(tmp_path)
    far = '[[authagent]]\nid = 1\nsite = "{site}"\nhost = "127.0.0.1"\nport = {port}\n'
    path.write_text(path.read_text() + far.format(site="lan2", port=1) + far.format(site="lan3", port=2))
    old = read(path)
    assert [(remote.name, remote.agents, bool(remote.filter)) for remote in old.remotes] == [
        ("lan2", ("1",), False), ("lan3", ("1",), False),
    ]  # fmt: skip
    lists = '[[remote]]\nsite = "lan2"\nusers = ["!Guest-*"]\n[[remote]]\nsite = "lan1"\ngroups = ["staff"]\n'
    path.write_text(path.read_text().replace("[tls]", '[session]\nuser_names = "lower"\n[tls]') + lists)
    new = read(path)
    assert [len(remote.filter.rules) for remote in new.remotes] == [2, 1]
    assert {rule.users.excludes for remote in new.remotes for rule in remote.filter.rules} == {("guest-*",), ()}
    assert old.needs_restart(new) == ["[[remote]]"]
    path.write_text(path.read_text() + far.format(site="lan3", port=3).replace("id = 1", "id = 2"))
    assert new.needs_restart(read(path)) == ["[[authagent]] of other sites"]


def test_weak_secrets_and_plain_links_are_warned_about(tmp_path: Path) -> None:
    """At each start and reload, without the secret."""
    path = with_tls(tmp_path, 'mode = "insecure-plain"')
    (line,) = write_secret(tmp_path, "c2bebhhh4gdbhagg2a7he")
    told: list[str] = []
    log = Log(lambda severity, event, values: told.append(f"{event} {values}"), level=0, monotonic_s=lambda: 0.0)
    setup.warn(read(path), log)
    assert [each.partition(" ")[0] for each in told] == ["secret.weak", "tls.none"]
    assert line not in "".join(told)


def with_page(folder: Path, listen: str) -> Path:
    return write_files(folder, more=f'[http]\nlisten = "{listen}"\n')


def test_off_loopback_the_page_needs_a_password(tmp_path: Path) -> None:
    """One line before anything is served; on loopback it may do without."""
    for listen in ("10.1.0.11:9080", "0.0.0.0:9080", "[::]:9080", "agent1.example:9080"):
        with pytest.raises(MistakesFound, match=r"is not loopback, .*run authagent passwd"):
            read(with_page(tmp_path, listen))
    for listen in ("127.0.0.1:9080", "[::1]:9080", "localhost:9080", ""):
        assert read(with_page(tmp_path, listen)).made.http == listen
    admin_password.write(str(tmp_path / "admin"), "correct horse battery")
    assert read(with_page(tmp_path, "10.1.0.11:9080")).made.http == "10.1.0.11:9080"


def test_an_admin_file_that_cannot_be_used_stops_no_agent(tmp_path: Path) -> None:
    """Logins matter more than the page, which lets nobody in then."""
    (tmp_path / "admin").touch()
    (tmp_path / "admin").chmod(0o644)
    for listen in ("127.0.0.1:9080", "10.1.0.11:9080"):
        assert read(with_page(tmp_path, listen)).made.http == listen

"""From file and secret to what is dialled."""

import shutil
from pathlib import Path

import pytest

import proxyagent
from protocol.io.link import LinkFailed
from protocol.mistakes import MistakesFound
from proxyagent import config as configs
from proxyagent.cookie import KeyRing
from proxyagent.cookie_key import make
from proxyagent.core.settings import AgentName
from proxyagent.dialling import Site, ring_of, site_of


def made(file: Path) -> Site:
    setup = configs.load(str(file), id="p1")
    return site_of(setup, configs.read_secret(setup), 1, "test")


def ring(file: Path) -> KeyRing | None:
    return ring_of(configs.load(str(file), id="p1"))


def test_only_own_agents_are_dialled(file: Path) -> None:
    """The agents of the own site in order, and nobody else's: another site never stands in by itself."""
    text = file.read_text().replace("[[proxyagent]]", _REMOTE + "[[proxyagent]]")
    file.write_text(text)
    site = made(file)
    assert site.settings.agents == (AgentName("lan1", "1"), AgentName("lan1", "2"))
    assert len(site.hosts) == 2


def test_other_sites_are_dialled_where_the_file_says_so(file: Path) -> None:
    """After the own agents, at their wan_host, in the order in which the sites are named; with the file's times."""
    text = file.read_text().replace("[[proxyagent]]", _REMOTE + "[[proxyagent]]")
    file.write_text(text + '[failover]\nother_sites = ["lan1", "lan2"]\nafter = "2s"\nreturn_after = "3s"\n')
    site = made(file)
    assert site.settings.agents == (AgentName("lan1", "1"), AgentName("lan1", "2"), AgentName("lan2", "1"))
    assert site.hosts[2] == "203.0.113.7:9023"
    assert (site.settings.away_after_s, site.settings.return_after_s) == (2.0, 3.0)


_REMOTE = '[[authagent]]\nid = 1\nsite = "lan2"\nhost = "10.2.0.11"\nwan_host = "203.0.113.7"\n'


def test_settings_are_those_of_the_file(file: Path) -> None:
    """Durations, scope and limits reach the machine."""
    file.write_text(
        file.read_text()
        + '[session]\nidle_timeout = "10m"\nmax_lifetime = "1h"\nkeep_sessions = "90s"\nkey_scope = "site"\n'
        + 'user_names = "lower"\n[limits]\nsessions = 5_000\n[timing]\nmax_clock_offset = "1s"\n'
    )
    settings = made(file).settings
    assert (settings.idle_timeout_s, settings.max_lifetime_ms, settings.keep_sessions) == (600, 3_600_000, 90.0)
    assert (settings.key_scope, settings.user_names, settings.sessions_max) == ("site", "lower", 5_000)
    assert settings.max_clock_offset_ms == 1_000


def test_without_key_files_there_is_no_cookie(file: Path) -> None:
    """And where they are named, they are read in order, relative to the file; what is doubtful about them is kept."""
    assert ring(file) is None
    make(str(file.parent / "new.key"))
    (file.parent / "old.key").write_bytes(b"x" * 65)
    (file.parent / "old.key").chmod(0o600)
    file.write_text(file.read_text() + '[cookie]\nkey_files = ["new.key", "old.key"]\nname = "sso"\n')
    found = ring(file)
    assert found is not None and made(file).cookie_name == "sso"
    assert found.keys == ((file.parent / "new.key").read_bytes(), b"x" * 64)
    assert len(found.warnings) == 1 and found.warnings[0].startswith("old.key: it has more than 64 bytes")


def test_a_key_that_does_not_protect_is_a_configuration_error(file: Path) -> None:
    """Short, open to others, or missing: one line before anything is dialled; short ones pass for compatibility."""
    key = file.parent / "cookie.key"
    text = file.read_text()
    file.write_text(text + '[cookie]\nkey_files = ["cookie.key"]\n')
    with pytest.raises(MistakesFound, match="No such file"):
        ring(file)
    with pytest.raises(proxyagent.ConfigurationError, match="No such file"):
        proxyagent.BlockingProxyAgent(str(file), id="p1")
    assert made(file).ring is None, "what has no browsers needs no key"
    key.write_bytes(b"This is only a test key!")
    with pytest.raises(MistakesFound, match="opens it to others"):
        ring(file)
    key.chmod(0o600)
    with pytest.raises(MistakesFound, match=r"AES key .* all zero"):
        ring(file)
    file.write_text(text + '[cookie]\nkey_files = ["cookie.key"]\ncompatibility = "iag"\n')
    found = ring(file)
    assert found is not None and found.keys[0].startswith(b"This is only a test key!\0")


async def test_a_dial_to_nobody_fails_with_its_kind(file: Path) -> None:
    """Nothing listens: LinkFailed, and nothing else."""
    with pytest.raises(LinkFailed) as failed:
        await made(file).dialler(0, 2.0)
    assert failed.value.kind == "refused"


def test_an_authority_that_cannot_be_read_is_a_configuration_error(file: Path) -> None:
    """Own certificates that are not there are told before anything is dialled."""
    text = '[tls]\nmode = "files"\ncertificate = "c.pem"\nkey = "k.pem"\nauthority = "none.pem"\n'
    file.write_text(file.read_text() + text)
    with pytest.raises(proxyagent.ConfigurationError, match=r"none\.pem"):
        made(file)
    mutual = file.parent / "mutual"
    mutual.mkdir()
    shutil.copy(file.parent / "secret", mutual / "secret")
    (mutual / "authagent.toml").write_text(file.read_text() + "client_certificates = true\n")
    with pytest.raises(proxyagent.ConfigurationError, match=r"c\.pem|none\.pem"):
        made(mutual / "authagent.toml")

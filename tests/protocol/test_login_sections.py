"""[login] and [ldap]: what they hold, and what is refused in them."""

import pytest

from protocol import configuration
from protocol.mistakes import MistakesFound

DIRECTORY = 'urls = ["ldaps://dc1.example.org"]\nbase = "dc=example"\n'


def login(text: str) -> configuration.LoginSettings:
    return configuration.parse(f"[login]\n{text}", "authagent.toml").login


def mistake(text: str) -> str:
    """The one thing wrong with a file."""
    with pytest.raises(MistakesFound) as caught:
        configuration.parse(text, "authagent.toml")
    (found,) = caught.value.mistakes
    return str(found)


@pytest.mark.parametrize("backend", ["htpasswd:users", "htpasswd:/etc/a b/users", "python:my.module:check"])
def test_back_ends_are_named_by_their_kind(backend: str) -> None:
    """A file, or a function of a module."""
    assert login(f'listen = "127.0.0.1:8080"\nbackend = "{backend}"\n').backend == backend


@pytest.mark.parametrize("backend", ["users", "htpasswd:", "python:module", "python:a b:c", "python:m:f()", "LDAP"])
def test_other_back_ends_are_refused(backend: str) -> None:
    """With the three that there are."""
    assert 'write "htpasswd:FILE", "ldap" or' in mistake(f'[login]\nbackend = "{backend}"\n')


def test_a_page_without_a_back_end_is_a_mistake() -> None:
    """Nobody could log in."""
    assert mistake('[login]\nlisten = "127.0.0.1:8080"\n').startswith("[login] backend: missing")


def test_hosts_are_names_in_small_letters_and_patterns_of_them() -> None:
    """`return_hosts` may have `*.NAME` and `*`."""
    found = login('hosts = ["Login.LAN", "10.0.0.5", "[::1]"]\nreturn_hosts = ["*.Example.org", "a.example", "*"]\n')
    assert found.hosts == ("login.lan", "10.0.0.5", "[::1]")
    assert found.return_hosts == ("*.example.org", "a.example", "*")


@pytest.mark.parametrize("host", ["http://a", "a:80", "a/b", "", "*.*", "a*.b", "**", "1.2.3"])
def test_what_is_no_host_is_refused(host: str) -> None:
    """Neither a scheme nor a port, nor a star elsewhere."""
    assert "a host name or an address is expected" in mistake(f'[login]\nreturn_hosts = ["{host}"]\n')


def test_certificate_and_key_go_together() -> None:
    """As in [http]."""
    assert mistake('[login]\ncertificate = "a.crt"\n').startswith("[login] key: missing")


@pytest.mark.parametrize(
    "url", ["dc1", "http://dc1", "ldap://", "ldap://u@h", "ldap://h/dc=x", "ldap://h:x", "ldap://h:0"]
)
def test_servers_of_a_directory_are_named_by_scheme_and_host(url: str) -> None:
    """Nothing else is in it."""
    assert "write ldaps://HOST" in mistake(f'[ldap]\nurls = ["{url}"]\n')


def test_a_directory_needs_servers_and_a_base() -> None:
    """Both are named where they miss; a name to search with has its password, and the reverse."""
    with pytest.raises(MistakesFound) as caught:
        configuration.parse('[login]\nbackend = "ldap"\n', "authagent.toml")
    assert [each.key for each in caught.value.mistakes] == ["[ldap] urls", "[ldap] base"]
    assert mistake(f'[ldap]\n{DIRECTORY}bind_dn = "cn=x"\n').startswith("[ldap] password_file: missing")
    assert mistake(f'[ldap]\n{DIRECTORY}password_file = "x"\n').startswith("[ldap] bind_dn: missing")
    assert '"a b" is no name of an attribute' in mistake('[ldap]\nuser_attribute = "a b"\n')
    found = configuration.parse(f"[ldap]\n{DIRECTORY}", "authagent.toml").ldap
    assert (found.urls, found.timeout_s) == (("ldaps://dc1.example.org",), 5.0)

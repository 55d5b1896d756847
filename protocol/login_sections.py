"""The tables of the configuration file for the login page and the directory behind it; sections.py lists them.

The rules are those of sections.py. Only `proxyagent run` reads these tables.
"""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from protocol import addresses, settings
from protocol.settings import setting

_BACKEND = re.compile(r"ldap|htpasswd:.+|python:[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+", re.ASCII)


def _backend(value: Any) -> str:
    given = settings.text(value)
    if given and not _BACKEND.fullmatch(given):
        raise ValueError('write "htpasswd:FILE", "ldap" or "python:MODULE:FUNCTION"')
    return given


def _hosts(value: Any) -> tuple[str, ...]:
    given = settings.texts(value)
    for each in given:
        if addresses.address(each.strip("[]")) is None and not addresses.is_name(each):
            raise ValueError(f'"{each}": a host name or an address is expected, without scheme and port')
    return tuple(each.lower() for each in given)


def _host_patterns(value: Any) -> tuple[str, ...]:
    given = settings.texts(value)
    named = _hosts([each.removeprefix("*.") for each in given if each != "*"])
    assert len(named) + given.count("*") == len(given), "each pattern but * names a host"
    return tuple(each.lower() for each in given)


def _directories(value: Any) -> tuple[str, ...]:
    given = settings.texts(value)
    for each in given:
        try:
            found = urlsplit(each)
            usable = found.scheme in ("ldap", "ldaps") and found.hostname and found.port != 0
        except ValueError:
            usable = False
        if not usable or each.rstrip("/").count("/") != 2 or "@" in each:
            raise ValueError("write ldaps://HOST, ldap://HOST or ldap://HOST:PORT, without a path and a user")
    return given


def _attribute(value: Any) -> str:
    given = settings.text(value)
    if not _ATTRIBUTE.fullmatch(given):
        raise ValueError(f'"{given}" is no name of an attribute')
    return given


@attrs.frozen(kw_only=True)
class LoginSettings:
    """[login]: the page where users log in and out; needs the extra `http`."""

    listen: str = setting(
        settings.optional_listener,
        'Where `proxyagent run` serves it: "10.1.0.5:8443". Off loopback with TLS only. Empty: nowhere.',
        default="",
    )
    backend: str = setting(
        _backend,
        'Who checks passwords: "htpasswd:FILE" (bcrypt and argon2, relative to this file), "ldap" (see [ldap]), or '
        '"python:MODULE:FUNCTION", an `async check(user, password, address)` of your own.',
        default="", bounds='"htpasswd:FILE", "ldap", "python:MODULE:FUNCTION"',
    )  # fmt: skip
    hosts: tuple[str, ...] = setting(
        _hosts,
        "The names by which browsers reach the page. Over plain HTTP it answers to these and to addresses only, since "
        "any web site can let a name of its own lead here. Empty: over TLS all names, over plain HTTP addresses.",
        default=(), bounds='["login.lan", "login.example.org"]',
    )  # fmt: skip
    return_hosts: tuple[str, ...] = setting(
        _host_patterns,
        "To which other hosts the page sends browsers on, who asked for them with `url=`. "
        '"*.example.org" stands for all below it, "*" for every host: for captive portals, whose users want to go on '
        "to anywhere.",
        default=(), bounds='["app.example.org", "*.example.org"], ["*"]',
    )  # fmt: skip
    certificate: str = setting(
        settings.text,
        "Certificate chain (PEM) for browsers, relative to this file. Empty: that of [http], of [tls] or a self-made "
        "one, of which browsers warn.",
        default="",
    )
    key: str = setting(settings.text, "Private key (PEM) of that certificate.", default="")
    insecure_plain: bool = setting(
        settings.flag,
        "true: plain HTTP beyond loopback, where whoever is on the way reads passwords. For captive portals on a LAN "
        "that one trusts.",
        default=False,
    )
    texts: str = setting(
        settings.text,
        "A TOML file with the page's texts, relative to this file: other words, and languages beside English and "
        "German.",
        default="",
    )


@attrs.frozen(kw_only=True)
class LdapSettings:
    """[ldap]: the directory that checks passwords with [login] backend = "ldap"; needs the extra `ldap`."""

    urls: tuple[str, ...] = setting(
        _directories,
        "The directory's servers, tried in turn. ldaps:// is TLS from the start.",
        default=(), bounds='["ldaps://dc1.example.org", "ldap://10.1.0.2:389"]',
    )  # fmt: skip
    start_tls: Literal["auto", "always", "insecure-never"] = setting(
        settings.choice("auto", "always", "insecure-never"),
        'Over ldap://, "auto": TLS is demanded (StartTLS) beyond loopback; "always": there too; "insecure-never": '
        "passwords go over the network as they are.",
        default="auto", bounds='"auto", "always", "insecure-never"',
    )  # fmt: skip
    authority: str = setting(
        settings.text,
        "Certificates (PEM) that may vouch for the servers, relative to this file. Empty: those of the system.",
        default="",
    )
    bind_dn: str = setting(
        settings.text, "As whom users are searched. Empty: anonymously.", default="", bounds="a distinguished name"
    )
    password_file: str = setting(
        settings.text,
        "The file with the password of bind_dn in one line, relative to this file; mode 0600 or 0640.",
        default="",
    )
    base: str = setting(settings.text, "Below which entry users are searched.", default="")
    user_attribute: str = setting(
        _attribute,
        'Which attribute users write as their name: "uid"; in Active Directory "sAMAccountName". The session bears '
        "its value as the directory spells it.",
        default="uid",
    )
    user_filter: str = setting(
        settings.text,
        'Who of those found may log in: "(memberOf=cn=proxy,ou=groups,dc=example)".',
        default="(objectClass=*)", bounds="an LDAP filter",
    )  # fmt: skip
    group_base: str = setting(
        settings.text, "Below which entry groups are searched. Empty: none are asked for.", default=""
    )
    group_attribute: str = setting(
        _attribute, "Which attribute of a group is its name; the session has all of them as `groups`.", default="cn"
    )
    member_attribute: str = setting(
        _attribute,
        'Which attribute of a group names its members: "member" or "uniqueMember" by their entries, "memberUid" by '
        "their user names.",
        default="member",
    )
    timeout_s: float = setting(
        settings.duration(0.1, 8.0),
        "How long one check may take, all servers together.",
        default=5.0, key="timeout", bounds="100ms to 8s",
    )  # fmt: skip

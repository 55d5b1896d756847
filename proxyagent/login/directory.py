"""Passwords checked by a directory: the entry of a user is searched, and its password tried by a bind.

Rules of this file:

- An empty password is wrong before anybody is asked: a bind with a name and no password succeeds for everybody
  (RFC 4513, section 5.1.2).
- The session bears the name as the directory spells it, so that Alice and alice are one user.
- A user who is not there costs as many questions as one whose password is wrong.
- The servers are asked in turn, all within one deadline of which each has its share; nobody waits longer for a
  directory that is down or slow.
"""

import ssl
from urllib.parse import urlsplit

import trio
from sansldap import FilterAnd, FilterEquality, LDAPFilter

from protocol import addresses
from protocol.configuration import LdapSettings
from proxyagent.login.identity import BackendUnusable, Identity, Unavailable
from proxyagent.login.ldap_link import Entry, LdapFailed, LdapLink, Server, open_link

PORTS = {"ldap": 389, "ldaps": 636}

_BY_USER_NAME = "memberuid"
"""The one attribute of groups that holds user names; the others hold names of entries (RFC 2307, RFC 4519)."""


class Directory:
    """A directory. `authority` and `password` are what the files hold that the settings name."""

    def __init__(self, settings: LdapSettings, authority: str, password: str) -> None:
        self._settings = settings
        self._password = password
        self._who = _filter(settings.user_filter)
        context = _context(authority)
        self._servers = tuple(_server(url, settings, context) for url in settings.urls)

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        """Who the directory says that this is."""
        if not password or not user:
            return None
        failures: list[str] = []
        deadline_s = trio.current_time() + self._settings.timeout_s
        for number, server in enumerate(self._servers):
            share_s = (deadline_s - trio.current_time()) / (len(self._servers) - number)
            with trio.move_on_after(share_s) as scope:
                try:
                    async with open_link(server) as link:
                        return await self._identity(link, user, password)
                except LdapFailed as error:
                    failures.append(str(error))
            if scope.cancelled_caught:
                failures.append(f"{server}: no answer in time")
        raise Unavailable("; ".join(failures))

    async def _identity(self, link: LdapLink, user: str, password: str) -> Identity | None:
        await self._bind_for_search(link, again=False)
        entry = await self._entry(link, user)
        if entry is None:
            await link.bind(f"cn=nobody,{self._settings.base}", "wrong")
            return None
        if not await link.bind(entry.name, password):
            return None
        name = _spelled(entry.attributes.get(self._settings.user_attribute.lower(), ()), user)
        groups = await self._groups(link, entry.name, name)
        return Identity(name, {"groups": groups} if groups else {})

    async def _bind_for_search(self, link: LdapLink, *, again: bool) -> None:
        """Ask as whoever is to search; `again` where somebody else is bound now."""
        name = self._settings.bind_dn
        if (name or again) and not await link.bind(name, self._password):
            raise LdapFailed("the password of [ldap] bind_dn is not right")

    async def _entry(self, link: LdapLink, user: str) -> Entry | None:
        attribute = self._settings.user_attribute
        wanted = FilterAnd([self._who, FilterEquality(attribute, user.encode(errors="replace"))])
        found = await link.search(self._settings.base, wanted, [attribute], most=2)
        if len(found) > 1:
            raise LdapFailed(f"several entries have the same {attribute}; narrow [ldap] base or user_filter")
        return found[0] if found and found[0].name else None

    async def _groups(self, link: LdapLink, entry: str, user: str) -> tuple[str, ...]:
        """The names of the groups that have this entry as a member."""
        settings = self._settings
        if not settings.group_base:
            return ()
        await self._bind_for_search(link, again=True)
        member = user if settings.member_attribute.lower() == _BY_USER_NAME else entry
        wanted = FilterEquality(settings.member_attribute, member.encode())
        found = await link.search(settings.group_base, wanted, [settings.group_attribute])
        names = (each.attributes.get(settings.group_attribute.lower(), ()) for each in found)
        return tuple(sorted({name for several in names for name in several}))


def _spelled(values: tuple[str, ...], user: str) -> str:
    """The name as the directory has it; of several, the one that was written."""
    if not values:
        raise LdapFailed("the entry found does not show its [ldap] user_attribute; may bind_dn read it?")
    return next((value for value in values if value.casefold() == user.casefold()), values[0])


def _filter(text: str) -> LDAPFilter:
    try:
        return LDAPFilter.from_string(text)
    except ValueError as error:
        raise BackendUnusable(f"[ldap] user_filter: {error}") from None


def _context(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority or None)
    except (ssl.SSLError, ValueError):
        raise BackendUnusable("[ldap] authority: there is no certificate in it") from None


def _server(url: str, settings: LdapSettings, context: ssl.SSLContext) -> Server:
    found = urlsplit(url)
    host, port = found.hostname or "", found.port or PORTS[found.scheme]
    if found.scheme == "ldaps":
        return Server(host, port, context)
    plain = settings.start_tls == "insecure-never" or (settings.start_tls == "auto" and addresses.is_loopback(host))
    return Server(host, port) if plain else Server(host, port, context, start_tls=True)

"""`authagent check`: the file, the secret and the certificate; then every listed agent.

Rules of this file:

- Everything is looked at, whatever was wrong before; only a file that cannot be used stops the check, since nothing is
  known of the agents then.
- Looking is here; what it means for the operator is said in one line each (authagent.findings). Dialling is in
  authagent.probe.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import trio

from authagent import certificate, config, probe, receivers
from authagent.config import Flags, IsOwn
from authagent.findings import Finding, Report
from authagent.probe import Asker
from protocol import addresses, places, secret
from protocol.configuration import Configuration
from protocol.io import machine, secret_file
from protocol.io.surroundings import surroundings
from protocol.mistakes import MistakesFound, nearest
from protocol.places import Surroundings
from protocol.secret import Secrets


def run(
    flags: Flags,
    *,
    now_s: float,
    offline: bool = False,
    as_id: str = "",
    around: Surroundings | None = None,
    is_own: IsOwn = machine.is_own_host,
    ask: probe.Ask = probe.ask,
) -> Report:
    """Check the file, and unless `offline` every agent that it lists, as the id `as_id` or as this machine's own.

    `now_s` is Unix time in seconds. Never raises for what it finds. Blocks: for the agents, which are asked at the
    same time, at most [timing] connect_timeout; not to be called inside a trio loop.
    """
    around = surroundings() if around is None else around
    try:
        found = config.read(flags, around)
    except MistakesFound as error:
        subject = error.path or "configuration"
        return Report(tuple(Finding("error", "file", subject, str(each), 2) for each in error.mistakes))
    state = places.state_folder(flags.state_dir, found.state_dir, found.path, around)
    findings = list(of_file(found))
    secrets, of_secret = _secret(found, config.secret_path(found, state))
    findings += [of_secret, *of_tls(found, now_s), *of_http(found)]
    if not offline and secrets is not None:
        site = places.given(flags.site, ("AUTHAGENT_SITE",), around)
        asker, note = who_asks(found, as_id, site, is_own)
        findings += [*note, *trio.run(probe.ask_all, found, secrets, asker, ask)]
    return Report(tuple(findings))


# -- the file ----------------------------------------------------------------------------------------------------


def of_file(found: Configuration) -> Iterator[Finding]:
    """What can be said of the configuration by itself."""
    subject = found.path or "no file"
    agents, proxies = found.authagents, found.proxyagents
    counted = f"agents {len(agents)}, sites {len(found.sites)}, proxy entries {len(proxies)}"
    if not found.path:
        counted = f"everything runs on loopback ({counted})"
    yield Finding("ok", "file", subject, f"{counted}, hash {found.agreed_hash.hex()}")
    if not proxies:
        yield Finding("warning", "no_proxies", "[[proxyagent]]", "none is listed, so no proxy may link")
    for site in sorted({proxy.site for proxy in proxies} - set(found.sites)):
        text = f"site {site} has proxies and no agent, so nobody lets them in; {nearest(site, found.sites)}"
        yield Finding("warning", "site_without_agent", "[[proxyagent]]", text)
    for site in found.sites:
        if len(found.agents_of(site)) == 1:
            text = f"site {site} has one agent: while it is down, its proxies go on alone"
            yield Finding("note", "single_agent", "[[authagent]]", text)
    if found.failover.other_sites and found.remotes:
        text = "a proxy that another site serves brings all it knows, and is told all: no filter of [[remote]] holds it"
        yield Finding("warning", "filter_and_stand_in", "[failover] other_sites", text)
    yield from _without_host(found)


def _without_host(found: Configuration) -> Iterator[Finding]:
    """Ids that whoever holds the secret can pose as; on loopback alone there is nobody else."""
    free = [proxy.id for proxy in found.proxyagents if not proxy.host]
    if not free or found.tls.client_certificates or all(addresses.is_loopback(each.host) for each in found.authagents):
        return
    text = (
        f"{len(free)} of {len(found.proxyagents)} have no host ({', '.join(free[:5])}{', ...' * (len(free) > 5)}): "
        "whoever holds the secret can pose as them; give each a host, or set [tls] client_certificates"
    )
    yield Finding("warning", "ids_without_host", "[[proxyagent]]", text)


def _secret(found: Configuration, path: str) -> tuple[Secrets | None, Finding]:
    """The secret, if it can be used, and what to say of it."""
    subject = f"secret file {path}"
    if not found.path and not os.path.lexists(path):
        return None, Finding("note", "no_secret", subject, "it is made at the first start; no agent was asked")
    try:
        secrets = secret_file.read(path)
    except MistakesFound as error:
        return None, Finding("error", "secret", subject, str(error).removeprefix(f"{subject}: "), 2)
    for line in secrets.lines:
        advice = secret.advice(line)
        if advice is not None:
            return secrets, Finding("warning", "weak_secret", subject, advice)
    if len(secrets.lines) > 1:
        text = "two lines; when all machines have the new one: authagent secret drop"
        return secrets, Finding("note", "two_secrets", subject, text)
    return secrets, Finding("ok", "secret", subject, "can be used")


def of_tls(found: Configuration, now_s: float) -> Iterator[Finding]:
    """The operator's own certificate, and links without any."""
    if found.tls.mode == "insecure-plain":
        text = "links are not encrypted: who listens on the network reads user names and can end sessions"
        yield Finding("warning", "plain", "[tls] mode", text)
    if found.tls.mode == "files":
        yield from _certificate(found, now_s)


def _certificate(found: Configuration, now_s: float) -> Iterator[Finding]:
    contents: dict[str, bytes] = {}
    for name in ("certificate", "key", "authority"):
        path = places.beside(found.path, getattr(found.tls, name)) if getattr(found.tls, name) else ""
        try:
            contents[name] = _content(path) if path else b""
        except OSError as error:
            yield Finding("error", "tls_file", f"[tls] {name}", f"{path} cannot be read: {error.strerror}", 2)
            return
    try:
        fits = certificate.fits(contents["certificate"], contents["key"])
        ending = certificate.ending(contents["certificate"], now_s)
    except ValueError as error:
        yield Finding("error", "tls_file", "[tls]", f"certificate and key must be PEM: {_first_line(error)}", 2)
        return
    if not fits:
        yield Finding("error", "tls_file", "[tls] key", "it is not the key of the certificate", 2)
    elif ending is None:
        yield Finding("ok", "certificate", "[tls] certificate", "fits its key")
    elif certificate.days_left(contents["certificate"], now_s) < 0:
        yield Finding("error", "certificate_ended", "[tls] certificate", ending, 2)
    else:
        yield Finding("warning", "certificate_ends", "[tls] certificate", ending)


def of_http(found: Configuration) -> Iterator[Finding]:
    """What [http] and [[webhook]] need: libraries, secrets, and receivers that nobody listens in on."""
    wanted = found.http.listen or found.http.proxy_listen or found.webhooks
    if wanted and importlib.util.find_spec("hypercorn") is None:
        text = 'hypercorn is not installed here; on machines that serve HTTP: pip install "one-login[http]"'
        yield Finding("warning", "extra", "[http]", text)
    for number, entry in enumerate(found.webhooks, 1):
        subject = f"[[webhook]] {number}"
        try:
            receivers.read_one(found, number, entry)
        except MistakesFound as error:
            yield Finding("warning", "webhook", subject, f"{error}; an agent does not start without it")
        where = urlsplit(entry.url)
        if where.scheme == "http" and not addresses.is_loopback(where.hostname or ""):
            yield Finding("warning", "webhook_plain", subject, "http:// shows everybody between who logs in")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# -- who asks ----------------------------------------------------------------------------------------------------


def who_asks(found: Configuration, as_id: str, site: str, is_own: Callable[[str], bool]) -> tuple[Asker, list[Finding]]:
    """As whom the agents are asked: `as_id`, else this machine's agent, else its proxy."""
    homes = [each.site for each in found.authagents if is_own(each.host)]
    home = site or found.site or next(iter([*homes, *found.sites]))
    if as_id:
        return Asker(site=home, id=as_id), []
    agents = [each for each in found.authagents if is_own(each.host) and site in ("", each.site)]
    if agents:
        return Asker(site=agents[0].site, id=str(agents[0].id)), []
    for proxy in found.proxyagents:
        if not proxy.is_pattern and proxy.host and is_own(proxy.host) and site in ("", proxy.site):
            return Asker(site=proxy.site, id=proxy.id), []
    text = "no entry has an address of this machine, so no id is asked about: name one with --as ID"
    return Asker(site=home, id=""), [Finding("note", "nobody", "this machine", text)]

"""`authagent init`: writes a commented authagent.toml and a fresh secret, and says what to copy where.

Rules of this file:

- Nothing is ever overwritten: if either file exists, neither is written.
- What is written has been read back by the same parser that will read it later.
- The secret goes into its file and nowhere else.
"""

import contextlib
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from protocol import addresses, configuration, places, settings
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.io import secret_file
from protocol.mistakes import Mistake, MistakesFound
from protocol.sections import SECTIONS

_PORT = 9023

_HEAD = """\
# authagent.toml: one file, the same on every machine, agents and proxies alike.
# Check it with: authagent check       Lines that begin with # show the defaults.
"""


def write(folder: str = ".", *, site: str = "", agents: Sequence[str] = (), proxies: Sequence[str] = ()) -> str:
    """Write `folder`/authagent.toml and `folder`/secret; returns what to tell the operator.

    `agents` are one or two hosts (none: a pair on loopback), `proxies` are "ID" or "ID=HOST" (none: any id).
    Raises MistakesFound, and has written nothing, when a value is wrong or a file exists. Blocks on the disk.
    """
    config_path = os.path.join(os.path.abspath(folder), places.CONFIG_NAME)
    return write_both(config_path, render(site or "lan1", agents, proxies))


def write_both(config_path: str, text: str) -> str:
    """Write this configuration and a secret beside it; returns what to tell the operator.

    Raises MistakesFound, and has written nothing, when either file exists or cannot be made. Blocks on the disk.
    """
    folder, secret_path = os.path.dirname(config_path), places.beside(config_path, "secret")
    for path in (config_path, secret_path):
        if os.path.lexists(path):
            raise MistakesFound("", [Mistake(path, "exists already; nothing was written: name another folder")])
    try:
        _write(folder, config_path, secret_path, text)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MistakesFound("", [Mistake(folder, f"nothing was written: {reason}")]) from None
    return advice(configuration.parse(text, config_path), config_path, secret_path)


def _write(folder: str, config_path: str, secret_path: str, text: str) -> None:
    os.makedirs(folder, exist_ok=True)
    secret_file.create(secret_path, secret_file.generate())
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, secret_path)
        with open(config_path, "x", encoding="utf-8") as file:
            file.write(text)
        undo.pop_all()


# -- the file ----------------------------------------------------------------------------------------------------


def render(site: str, agents: Sequence[str], proxies: Sequence[str]) -> str:
    """The text of a configuration file for one site. Raises MistakesFound, in terms of the flags, for a wrong value."""
    found = [*_wrong("--site", settings.name, [site]), *_wrong("--agent", settings.host, agents)]
    split = [proxy.partition("=") for proxy in proxies]
    found += _wrong("--proxy", settings.pattern, [proxy_id for proxy_id, _, _ in split])
    found += _wrong("--proxy", settings.origin, [host for _, _, host in split])
    if len(agents) > 2:
        found.append(Mistake("--agent", f"a site has one or two agents, {len(agents)} were given"))
    if found:
        raise MistakesFound("", found)
    hosts = agents or ("127.0.0.1", "127.0.0.1")
    ports = [_PORT + hosts[:place].count(host) for place, host in enumerate(hosts)]
    return document(site, list(zip(hosts, ports, strict=True)), [(proxy_id, host) for proxy_id, _, host in split])


def document(
    site: str,
    agents: Sequence[tuple[str, int]],
    proxies: Sequence[tuple[str, str]],
    *,
    remarks: Sequence[str] = (),
    values: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> str:
    """A commented configuration file: agents by host and port, proxies by id and host.

    `values` is what else differs from the defaults, as TOML by table and key; `remarks` are comments at its head.
    Raises MistakesFound when it would be no good file.
    """
    lines = [_HEAD]
    for remark in remarks:
        lines += [*_comment(remark), ""]
    for name, kind in SECTIONS.items():
        lines += [*_section(name, kind, values), ""]
    lines += _agents(site, agents)
    lines += _proxies(site, proxies)
    text = "\n".join(lines).rstrip() + "\n"
    configuration.parse(text, places.CONFIG_NAME)
    return text


def _wrong(flag: str, form: settings.Form, values: Sequence[str]) -> Iterator[Mistake]:
    for value in values:
        try:
            form(value)
        except ValueError as error:
            quoted = "" if f'"{value}"' in str(error) else f'"{value}": '
            yield Mistake(flag, f"{quoted}{error}")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _section(name: str, kind: type[attrs.AttrsInstance], values: Mapping[tuple[str, str], str]) -> Iterator[str]:
    yield f"[{name}]"
    for field in attrs.fields(kind):
        bounds = field.metadata["bounds"]
        yield from _comment(field.metadata["doc"] + (f" ({bounds})" if bounds else ""))
        key = settings.key_of(field)
        given = values.get((name, key))
        yield f"#{key} = {settings.toml(field)}" if given is None else f"{key} = {given}"


def _agents(site: str, agents: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield from _comment("The agents: 1, or 1 and 2, for each site. `host` is what proxies and the partner dial.")
    for number, (host, port) in enumerate(agents, 1):
        yield "[[authagent]]"
        yield f"id = {number}"
        yield f'site = "{site}"'
        yield f'host = "{host}"'
        yield from ([f"port = {port}"] if port != _PORT else [])
        yield ""


def _proxies(site: str, proxies: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from _comment(
        'The proxies that may link. `id` is a name, or a pattern for many ("squid-*"); `host` is the address, network '
        "or name that it must come from, and who has none can be posed as by whoever holds the secret."
    )
    for proxy_id, host in proxies or [("*", "")]:
        yield "[[proxyagent]]"
        yield f'id = "{proxy_id}"'
        yield f'site = "{site}"'
        yield from ([f'host = "{host}"'] if host else [])
        yield ""


# -- what to do next ---------------------------------------------------------------------------------------------


def advice(found: Configuration, config_path: str, secret_path: str) -> str:
    """What to copy where, what to open in firewalls, what to start."""
    lines = [f"wrote {config_path}", f"wrote {secret_path} (mode 0600; keep it so, and show it to nobody)", ""]
    if all(addresses.is_loopback(agent.host) for agent in found.authagents):
        folder = config_path.rpartition("/")[0]
        lines += [f"Everything runs on this machine. In the folder {folder}, each in a terminal of its own:"]
        lines += [f"  authagent {agent.id}" for agent in found.authagents]
        lines += [f"  proxyagent run --id {_example(found.proxyagents[0].id)}"]
        lines += ["Then look: authagent check, authagent status"]
        return "\n".join(lines)
    lines += ["1. Copy both files into /etc/authagent on every machine:"]
    lines += [f"     {agent.host}   ({agent})" for agent in found.authagents]
    lines += [f"     {proxy.host or 'wherever it runs'}   (proxy {proxy.id})" for proxy in found.proxyagents]
    first = found.authagents[0]
    lines += [f"   for example: scp -p {config_path} {secret_path} root@{first.host}:/etc/authagent/"]
    lines += ["2. Let agents and proxies reach the agents; in a firewall on each agent's machine:"]
    lines += [f"     {line}" for line in firewall(found.authagents)]
    lines += ["3. Start the agents:"]
    lines += [f"     on {agent.host}: authagent {agent.id}" for agent in found.authagents]
    lines += ["4. Anywhere: authagent check"]
    return "\n".join(lines)


def _example(pattern: str) -> str:
    """An id that fits."""
    return "proxy1" if pattern == "*" else pattern.replace("*", "1").replace("?", "1")


def firewall(agents: Sequence[AuthAgentEntry]) -> list[str]:
    """One line for each port that agents listen on."""
    ports = sorted({agent.port for agent in agents})
    return [f"nft add rule inet filter input tcp dport {port} accept" for port in ports]

"""The auth.cfg of BorderManager 3.8: what it says, and which of it has a place in authagent.toml. Pure.

Rules of this file:

- All mistakes are found at once, each with its line. A mistake is what BorderManager could not have run with.
- What is right there and has no place here is no mistake: it is said in a remark.

The file, whose keys and sections may be written in any case:

    [proxy agents]         the proxies that may link
    1=10.1.0.21
    [auth]                 the agents, at most two
    ipport1=10.1.0.11:9023
    [debug]
    Level=1
    File=/var/log/auth.log
"""

import json
import re
from collections.abc import Callable, Iterator

import attrs

from protocol import mistakes, settings
from protocol.mistakes import Mistake, MistakesFound

BYTES_MAX = 1024 * 1024
"""Some thousand times what such a file has."""

PORT = 9023

REMARKS = (
    "The secret: BorderManager had none. Every machine must know the one beside this file; --output writes both.",
    "Idle time: BorderManager kept it with its proxies, not in auth.cfg. Set [session] idle_timeout to the same value.",
    "Names: proxies had numbers; here they are proxy1, proxy2 and so on, and must come from their addresses.",
)
"""What is so for every auth.cfg."""

_SECTION = re.compile(r"\[\s*(.*?)\s*\]$")
_AGENT = re.compile(r"ipport(\d+)$")
_COMMENT = re.compile(r"(?:^|\s)[;#].*$")


@attrs.define
class AuthCfg:
    """What was read. `agents` and `proxies` by number; `values` as TOML by table and key of authagent.toml."""

    agents: dict[int, tuple[str, int]] = attrs.field(factory=dict)
    proxies: dict[int, str] = attrs.field(factory=dict)
    values: dict[tuple[str, str], str] = attrs.field(factory=dict)
    remarks: list[str] = attrs.field(factory=lambda: list(REMARKS))


def parse(content: bytes, path: str) -> AuthCfg:
    """What a file says. Raises MistakesFound with all that is wrong, each with its line."""
    if len(content) > BYTES_MAX or b"\0" in content:
        raise MistakesFound(path, [Mistake("", "this is no auth.cfg of BorderManager")])
    return _Reader(path).read(_decoded(content))


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # its time had other code pages; only comments can be wrong


class _Reader:
    """One reading of one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found = AuthCfg()
        self._wrong: list[Mistake] = []
        self._seen: dict[tuple[str, str], int] = {}
        self._numbers: dict[str, int] = {}  # of proxies, by host
        self._sections: dict[str, Callable[[str, str], None]] = {
            "proxy agents": self._proxy,
            "auth": self._agent,
            "debug": self._debug,
        }

    def read(self, text: str) -> AuthCfg:
        section: str | None = ""
        for number, line in self._lines(text):
            heading = _SECTION.match(line)
            if heading is not None:
                section = self._heading(number, heading[1])
            elif section is None:
                continue
            else:
                self._setting(number, section, line)
        if not self._found.agents and not self._wrong:
            self._wrong.append(Mistake("[auth]", f"no agent is named; ipport1=ADDRESS:{PORT} is expected"))
        missing = set(range(1, len(self._found.agents) + 1)) - self._found.agents.keys()
        if missing and not self._wrong:
            self._wrong.append(Mistake("[auth]", f"ipport{min(missing)} is missing: agents are numbered from 1"))
        if self._wrong:
            raise MistakesFound(self._path, self._wrong)
        return self._found

    @staticmethod
    def _lines(text: str) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(text.splitlines(), 1):
            stripped = _COMMENT.sub("", line).strip()
            if stripped:
                yield number, stripped

    def _heading(self, number: int, name: str) -> str | None:
        """The section that begins; None for one that is to be left out."""
        section = " ".join(name.lower().split())
        if section in self._sections:
            return section
        close = mistakes.nearest(section, tuple(self._sections))
        if close.startswith("did you mean"):
            self._wrong.append(Mistake(f"line {number}", f"[{name}]: {close}"))
        else:
            self._found.remarks.append(f"Line {number}: the section [{_plain(name)}] has no meaning here: left out.")
        return None

    def _setting(self, number: int, section: str, line: str) -> None:
        key, equals, value = (part.strip() for part in line.partition("="))
        try:
            if not section:
                raise ValueError("a setting before any section; [proxy agents], [auth] or [debug] is expected")
            if not equals or not key:
                raise ValueError("neither a section nor a setting; KEY=VALUE is expected")
            first = self._seen.setdefault((section, key.lower()), number)
            if first != number:
                raise ValueError(f"{key} is here again, after line {first}")
            self._sections[section](key.lower(), value)
        except ValueError as error:
            self._wrong.append(Mistake(f"line {number}", str(error)))

    # -- sections ------------------------------------------------------------------------------------------------

    def _proxy(self, key: str, value: str) -> None:
        if not key.isdecimal() or not 1 <= int(key) <= 65_535:
            raise ValueError(f"{key}: proxies are numbered; 1=ADDRESS is expected")
        host = settings.host(value)
        twin = self._numbers.setdefault(host, int(key))
        if twin != int(key):
            raise ValueError(f"{host} is proxy {twin} already")
        self._found.proxies[int(key)] = host

    def _agent(self, key: str, value: str) -> None:
        named = _AGENT.match(key)
        if named is None:
            raise ValueError(f"{key}: ipport1=ADDRESS:{PORT} or ipport2=ADDRESS:{PORT} is expected")
        if int(named[1]) not in (1, 2):
            raise ValueError(f"{key}: a site has agents 1 and 2; list those of another site by hand, with its name")
        host, colon, port = value.rpartition(":")
        if not colon or value.endswith("]"):
            host, port = value, str(PORT)
        if not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise ValueError(f"{key}: a port from 1 to 65535 is expected behind the colon")
        where = (settings.host(host.strip("[] ")), int(port))
        if where in self._found.agents.values():
            raise ValueError(f"{key}: the other agent is there already")
        self._found.agents[int(named[1])] = where

    def _debug(self, key: str, value: str) -> None:
        match key:
            case "level":
                if value not in ("0", "1", "2"):
                    raise ValueError("level: levels are 0, 1 and 2")
                self._found.values["logging", "level"] = value
            case "file" if value.startswith("/"):
                self._found.values["logging", "path"] = json.dumps(settings.text(value), ensure_ascii=False)
            case "file" if value:
                left = "leave [logging] path empty for standard error, which systemd keeps in its journal"
                self._found.remarks.append(f"[debug] File={_plain(value)}: not a path of these machines; {left}.")
            case "file":
                pass
            case _:
                raise ValueError(f"{key}: {mistakes.nearest(key, ('level', 'file'))}")


def _plain(text: str) -> str:
    """Text that may stand in a comment."""
    return "".join(each if each.isprintable() else "?" for each in text)[:200]

"""The auth.cfg of BorderManager under hostile hands, as `authagent import` is given it.

Rules of this file: the command ends with what is wrong, or with a configuration that says what the file said: the same
agents and proxies, and as text that the parser takes.
"""

import random
import tempfile
from pathlib import Path

from authagent import auth_cfg, import_verb
from protocol import configuration
from protocol.mistakes import MistakesFound
from tests.fuzz import inputs
from tests.fuzz.taking import hold

WHOLE = """\
; made by hand
[proxy agents]
1=10.1.0.21
2=squid2.lan
[auth]
ipport1=10.1.0.11:9023
ipport2=[2001:db8::12]:9024
[debug]
Level=1
File=/var/log/auth.log
"""
OLD = "[DEBUG]\r\nLEVEL=2\r\nFILE=SYS:\\ETC\\AUTH.LOG\r\n[Auth]\r\nIPPORT1=10.1.0.11\r\n[other]\r\nx=1\r\n"
LINES = (
    "File=/var/log/\U0001f600", "File=/var/log/\u202ex", 'File=/a"b\\u0000', "File=/\x7f", "File=/\xa0\x85x",
    "ipport2=10.1.0.12:" + "9" * 5_000, "ipport\u0661=10.1.0.11:9", "\uff11=10.1.0.11", "ipport1=::1", "ipport1=[]:9",
    "[\u2028]", '[a"\u202e]', "[" * 300, "=", "[=]", "1=", "3=10.1.0.21", "ipport2=0.0.0.0:9", "ipport2=fe80::1%25x:9",
    "9" * 5_000 + "=10.1.0.9", "File=C:\\\x1b[2J", "2=xn--bcher-kva", "2=b\xfccher", "level=0 ; x", "File=/#;x",
)  # fmt: skip


def make(chance: random.Random) -> bytes:
    """A file with lines changed, some of them put in."""
    text = inputs.text((WHOLE, OLD), chance)
    if chance.random() < 0.5:
        lines = text.split("\n")
        new = chance.choice(LINES)
        like = [place for place, line in enumerate(lines) if line[:4].lower() == new[:4].lower()]
        place = chance.choice(like or [*range(len(lines))])
        lines[place : place + (chance.random() < 0.8)] = [new]
        text = "\n".join(lines)
    encoding = "latin-1" if chance.random() < 0.1 else "utf-8"
    return text.encode(encoding, errors="surrogateescape" if encoding == "utf-8" else "replace")


class Imports:
    """`authagent import FILE`, again and again."""

    def __init__(self) -> None:
        self.accepted = 0
        """Files that became a configuration."""

    def __call__(self, data: bytes) -> None:
        try:
            made = _imported(data)
        except MistakesFound as mistakes:
            told = str(mistakes).splitlines()
            hold(0 < len(told) == len(mistakes.mistakes), "a line for each mistake")
            hold(not _reads(data), "what is right there is no mistake here")
            return
        self.accepted += 1
        read = auth_cfg.parse(data, "auth.cfg")
        found = configuration.parse(made.text, "authagent.toml")
        assert {each.id: (each.host, each.port) for each in found.authagents} == read.agents
        proxies = {each.id: each.host for each in found.proxyagents if each.id != "*"}
        assert proxies == {f"proxy{number}": host for number, host in read.proxies.items()}


def _imported(data: bytes) -> import_verb.Imported:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "auth.cfg"
        path.write_bytes(data)
        return import_verb.run(str(path))


def _reads(data: bytes) -> bool:
    try:
        auth_cfg.parse(data, "auth.cfg")
    except MistakesFound:
        return False
    return True

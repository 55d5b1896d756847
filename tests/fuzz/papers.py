"""Files that operators bring along: cookie keys, the admin file, texts of the login page, certificates, passwords.

Rules of this file:

- A file is used, or refused with the documented error, in one line that quotes nothing secret.
- What is let in does what it is there for: a key seals and opens, a hash is checked in no time that anybody would
  notice, each text makes a page, a certificate binds. A peer's certificate, which comes over the network, costs the
  link at most.
"""

import base64
import datetime
import functools
import ipaddress
import random
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
from argon2.low_level import Type, hash_secret
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from authagent import admin_password, certificate, kept_clock
from protocol.io import secret_file, tls
from protocol.io.tls import TlsError
from protocol.limits import COOKIE_KEY_BYTES, TIME_MS_MAX
from protocol.mistakes import MistakesFound
from proxyagent import cookie_key
from proxyagent.cookie import KeyRing
from proxyagent.login.document import Paper, Place
from proxyagent.login.identity import BackendUnusable
from proxyagent.login.texts import Texts
from tests.fuzz import asgi, inputs
from tests.fuzz.taking import hold

PASSWORD = "correct horse battery"
HASH = hash_secret(PASSWORD.encode(), bytes(16), 1, 8, 1, 32, Type.ID)
HASHES = tuple(HASH.replace(*each) for each in (
    (b"", b""), (b"", b""), (b"m=8", b"m=4294967295"), (b"t=1", b"t=4294967295"), (b"p=1", b"p=1048576"),
    (b"v=19", b"v=" + b"9" * 300), (b"argon2id", b"argon2d"), (b"$argon2id", b"\n$argon2id"), (b"p=1$", b"p=1$\xff"),
))  # fmt: skip
TEXTS = (
    '[en]\ntitle = "Sign in"\nsigned_in = "Hello {user}"\nwrong = "no"\nlocked = "Wait {seconds} s"\n',
    '[fr]\ntitle = "Entrez"\nmore = "{count} de plus"\n[pt-br]\nsite = "em {site}"\ngo_on = "{where}!"\n',
    '[en]\nsigned_in = "{user!r:>9}"\n[de]\nlocked = "{seconds:{seconds}}"\nin_browser = "{number.real}"\n',
    '[en]\ntitle = "</title><script>"\nuser = "{{user}}"\nsign_out = "{}"\nend = "{0}"\nsince = "{duration[0]}"\n',
)
CLOCKS = (b"boot 1700000000000", b"boot -5", b"boot \xd9\xa3", b"boot --5", b"boot " + b"9" * 90, b"other 5", b"boot ")
_YEARS = [datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2000, 2500)]
NOW_S = 1.8e9


def _certificate() -> tuple[bytes, bytes]:
    """The same each time: a certificate in DER that names a peer in many ways, and its key in PEM."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent/lan1/1")])
    others: list[x509.GeneralName] = [x509.DNSName("agent.test"), x509.IPAddress(ipaddress.ip_address("10.1.0.11"))]
    others += [x509.UniformResourceIdentifier("authagent:agent/lan1/1"), x509.RFC822Name("a@agent.test")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(_YEARS[0])
        .not_valid_after(_YEARS[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(key, None)
    )
    kind = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.DER), pem


DER, KEY = _certificate()
_ARMOURED = b"-----BEGIN %b-----\n%b-----END %b-----\n"


def make(chance: random.Random) -> bytes:
    """Which file, and its content."""
    kind = chance.choice([*KINDS, "peer", "peer", "admin", "cookie_key", "clock"])
    return msgpack.packb([kind, *_made(kind, chance)])  # type: ignore[no-any-return]


def _made(kind: str, chance: random.Random) -> list[bytes]:
    match kind:
        case "cookie_key":
            size = chance.choice((0, 1, 31, 32, 33, 63, 64, 64, 64, 65, 300))
            return [bytes(size) if chance.random() < 0.2 else chance.randbytes(size)]
        case "admin":
            return [_perhaps(chance.choice(HASHES) + chance.choice((b"", b"\n", b"\n\n", b" ")), chance)]
        case "texts":
            return [inputs.text(TEXTS, chance).encode(errors="surrogateescape")]
        case "line":
            return [
                _perhaps(chance.choice((b"of the reader\n", b"a\nb\n", b"\n", b"", b"\xff\n", b"x" * 5_000)), chance)
            ]
        case "clock":
            return [_perhaps(chance.choice(CLOCKS), chance)]
        case "peer":
            return [_odd(chance)]
    found = _ARMOURED % (b"CERTIFICATE", base64.encodebytes(_odd(chance)), b"CERTIFICATE")
    return [inputs.spoiled(found, chance) if chance.random() < 0.1 else found, _perhaps(KEY, chance, 0.1)]


def _perhaps(content: bytes, chance: random.Random, often: float = 0.4) -> bytes:
    return inputs.spoiled(content, chance) if chance.random() < often else content


def _odd(chance: random.Random) -> bytes:
    """The certificate with an octet or two of its structure changed: as OpenSSL might still take it."""
    changed = bytearray(DER)
    for _ in range(chance.choice((0, 1, 1, 2))):
        changed[chance.randrange(len(changed))] = chance.choice((*range(24), 0x30, 0x7F, 0x80, 0xA0, 0xFF))
    return bytes(changed)


def _without_warnings(take: Callable[..., bool]) -> Callable[..., bool]:
    """What cryptography will refuse some day it warns of now."""

    @functools.wraps(take)
    def taken(*arguments: Any) -> bool:
        with warnings.catch_warnings(action="ignore"):
            return take(*arguments)

    return taken


class Papers:
    """Each input is a file, read as at a start."""

    def __init__(self) -> None:
        self._path = self._key = Path()
        self.accepted = 0
        """Files that could be used."""

    def __call__(self, data: bytes) -> None:
        kind, *contents = msgpack.unpackb(data)
        if kind in ("clock", "peer"):  # which come from elsewhere
            self._take(kind, contents)
            return
        with tempfile.TemporaryDirectory() as folder:
            self._path, self._key = Path(folder) / "file", Path(folder) / "key"
            for path, content in zip((self._path, self._key), contents, strict=False):
                path.touch(mode=0o600)
                path.write_bytes(content)
            self._take(kind, contents)

    def _take(self, kind: str, contents: list[bytes]) -> None:
        try:
            self.accepted += bool(KINDS[kind](self, *contents))
        except (MistakesFound, BackendUnusable, TlsError, ValueError) as mistake:
            told, quoted = str(mistake), PASSWORD in str(mistake) or "$c2F" in str(mistake)
            hold(told != "" and len(told.splitlines()) == 1 and not quoted, "one line, which quotes nothing")
            hold(type(mistake) in DOCUMENTED[kind], f"{type(mistake).__name__} is not documented")

    def _cookie_key(self, content: bytes) -> bool:
        found = cookie_key.read(str(self._path))
        assert found.octets == content[:COOKIE_KEY_BYTES] and any(found.octets[32:]), "nothing is filled up"
        ring = KeyRing((found.octets,))
        opened = ring.open(ring.seal("alice", {}, expires_at_s=9), now_s=1.0)
        assert opened is not None and opened.user == "alice"
        return True

    def _admin(self, content: bytes) -> bool:
        found = admin_password.read(str(self._path))
        kib, passes, lanes = map(int, re.findall(r"(?<=[mtp]=)[0-9]+", found))
        assert kib < 1_000_000 and passes < 10 and lanes < 100, "a check takes seconds at most"
        if kib * passes < 1_000 and lanes == 1:
            assert not admin_password.is_right(found, "wrong")
            assert not admin_password.is_right(found, PASSWORD) or found.encode() == HASH
        return True

    def _texts(self, content: bytes) -> bool:
        texts = Texts(str(self._path))
        for language in set(re.findall(r"(?<=\[)(?:en|de|fr|pt-br)(?=\])", content.decode())):
            name, words = texts.choose(language)
            paper = Paper(name, words, "token")
            keys = ("10.0.0.1", "cookie:0123456789abcdef0123456789abcdef", "x")
            places = [Place("p1:01:1", key, "lan1", 9.0, True) for key in keys]
            trouble, said = words["locked"].format(seconds=9), words["more"].format(count=9)
            asgi.Page(paper.signed_in("alice", places, "http://a.test/").encode())
            asgi.Page(paper.sign_in("/", trouble, said, "alice").encode())
        return True

    def _line(self, content: bytes) -> bool:
        assert secret_file.read_line(str(self._path)) in content.decode("utf-8", "replace")
        return True

    def _clock(self, content: bytes) -> bool:
        found = kept_clock.read(content.decode("utf-8", "replace"), "boot")
        assert found is None or abs(found) < TIME_MS_MAX * 10
        return found is not None

    @_without_warnings
    def _peer(self, content: bytes) -> bool:
        named = tls.speaks_for(content, "agent", "lan1", "1", "agent.test")
        assert len(tls.binding_of(content)) >= 32
        return named

    @_without_warnings
    def _pair(self, content: bytes, key: bytes) -> bool:
        made = tls.from_files(str(self._path), str(self._key))
        assert made.listening_binding()
        certificate.fits(content, key)
        certificate.ending(content, NOW_S)
        return True


KINDS: dict[str, Callable[..., bool]] = {
    "cookie_key": Papers._cookie_key, "admin": Papers._admin, "texts": Papers._texts, "line": Papers._line,
    "clock": Papers._clock, "peer": Papers._peer, "pair": Papers._pair,
}  # fmt: skip
DOCUMENTED: dict[str, tuple[type[Exception], ...]] = {
    "cookie_key": (MistakesFound,), "admin": (MistakesFound,), "texts": (BackendUnusable,), "line": (MistakesFound,),
    "clock": (), "peer": (TlsError,), "pair": (TlsError, ValueError),
}  # fmt: skip

"""Files under hostile hands: the configuration, the secret, and the store with its rows, its settings and its bytes.

Rules of this file: as targets.py, which lists these.
"""

import random
import sqlite3
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack

from authagent import kept_clock
from authagent.store_errors import DISK_ERRORS, StoreUnusable
from authagent.store_file import Identity, StoreFile
from authagent.store_rows import PAYLOAD_BYTES_MAX, pack, unpack
from protocol import addresses, configuration, secret
from protocol.codec import decode_changes, encode_changes
from protocol.mistakes import MistakesFound
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login.return_url import safe
from tests.fuzz import inputs
from tests.fuzz.taking import hold
from tests.wire import samples

IDENTITY = Identity("lan1", "1")

PLACES = """\
site = "lan1"
[session]
idle_timeout = "30m"
max_lifetime = "12h"
keep_sessions = "until-expiry"
key_scope = "all"
user_names = "exact"
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
port = 9023
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
listen = ["0.0.0.0:9023", "[::]:9023"]
[[proxyagent]]
id = "squid-*"
site = "lan1"
host = "10.1.0.0/24"
"""
SECTIONS = """\
[security]
secret_file = "secret"
[tls]
mode = "files"
certificate = "c.pem"
key = "k.pem"
client_certificates = false
[control]
folder = "/run/x"
group = ""
mode = "0600"
[logging]
level = 1
path = ""
format = "text"
statistics_interval = "60s"
[timing]
connect_attempts = 5
heartbeat_interval = "200ms"
suspect_after = "1s"
max_clock_offset = "2s"
[limits]
sessions = 1_000_000
connections = 2_000
outbox_events = 100_000
"""
SHARING = """\
[cookie]
name = "__Host-login"
key_files = ["cookie.key", "older.key"]
compatibility = "none"
[failover]
other_sites = ["lan1", "lan2"]
after = "5s"
[http]
listen = "127.0.0.1:9080"
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
[[authagent]]
id = 1
site = "lan2"
host = "10.2.0.11"
[[remote]]
site = "lan2"
users = ["alice", "!guest-*"]
groups = ["staff", "!visitors"]
networks = ["10.1.0.0/16", "!10.1.99.0/24"]
[[webhook]]
url = "https://hooks.test:8443/x?a=b"
events = ["session.*", "problem.began"]
secret = "correct-horse-battery-staple-9"
"""
ADAPTERS = """\
[client]
key = "both"
cookie = "sid"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "::1"]
[squid]
helpers = true
access_log = "127.0.0.1:9090"
manager = ["127.0.0.1:3128"]
[forward_auth]
listen = "/run/authagent/forward-auth.sock"
group = "www-data"
mode = "0660"
login_url = "https://login.test/login"
[haproxy]
agent_check = "127.0.0.1:9081"
runtime = "/run/haproxy/admin.sock"
map = "sessions.map"
activity = "127.0.0.1:9514"
[login]
listen = "10.1.0.5:8443"
backend = "ldap"
hosts = ["login.test", "10.1.0.5"]
return_hosts = ["app.test", "*.app.test"]
certificate = "c.pem"
key = "k.pem"
[ldap]
urls = ["ldaps://dc1.test", "ldap://[2001:db8::1]:389"]
bind_dn = "cn=reader"
password_file = "reader"
base = "dc=a"
user_filter = "(objectClass=person)"
group_base = "dc=g"
member_attribute = "memberUid"
timeout = "3s"
"""
FILES = (PLACES, SECTIONS, SHARING, ADAPTERS)
SECRETS = (
    "# made by authagent init\ncorrect-horse-battery-staple-0\n",
    "correct-horse-battery-staple-0\nanother-horse-battery-staple-1\n",
)


def make_configuration(chance: random.Random) -> bytes:
    """A file with lines changed, or with some left out."""
    if chance.random() < 0.7:
        return inputs.text(FILES, chance).encode(errors="surrogateescape")
    lines = chance.choice(FILES).split("\n")
    for _ in range(chance.randrange(3)):
        del lines[chance.randrange(len(lines))]
    return "\n".join(lines).encode()


class Configurations:
    """Files are parsed, and what is let in is put to use as at a start."""

    def __init__(self) -> None:
        self.accepted = 0
        """Files without a mistake."""

    def __call__(self, data: bytes) -> None:
        """The file is read as UTF-8 by whoever opens it; what is not UTF-8 never gets here."""
        try:
            found = configuration.parse(data.decode(), "authagent.toml")
        except UnicodeDecodeError:
            return
        except MistakesFound as mistakes:
            told = str(mistakes).splitlines()
            hold(0 < len(told) == len(mistakes.mistakes) and "staple" not in str(mistakes), "a line for each mistake")
            return
        self.accepted += 1
        keys = ClientKeys(found.client)
        assert keys.address("192.0.2.1", ["10.3.4.5"]) == "192.0.2.1" or found.client.trusted_proxies
        listens = [found.login.listen, found.http.listen, found.squid.access_log, *found.squid.manager]
        for each in filter(None, [*listens, found.haproxy.agent_check]):
            assert 0 < addresses.split(each)[1] < 65_536
        for url in (*found.ldap.urls, *(hook.url for hook in found.webhooks)):
            assert urlsplit(url).hostname and urlsplit(url).port != 0
        assert safe("/x", found.login.return_hosts) == "/x" and not safe("//evil.test", found.login.return_hosts)


def make_secret(chance: random.Random) -> bytes:
    return inputs.text(SECRETS, chance).encode(errors="surrogateescape")


def take_secret(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        secrets = secret.parse(text)
    except ValueError as mistake:
        _hold("\n" not in str(mistake) and "staple" not in str(mistake))  # one line, which quotes nothing
    else:
        assert secrets.newest and all(line not in repr(secrets).encode() for line in secrets.lines)


def make_row(chance: random.Random) -> bytes:
    payloads = [chance.randbytes(chance.randrange(1, 40)) for _ in range(chance.randrange(1, 5))]
    return inputs.spoiled(pack(payloads), chance)


def take_row(data: bytes) -> None:
    payloads, intact = unpack(data)
    assert all(0 < len(payload) <= PAYLOAD_BYTES_MAX for payload in payloads)
    assert not intact or pack(payloads) == data, "an intact row is what was written"


class Stores:
    """A store file with bytes, or rows and settings, changed: opened and read like at a start."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sessions.db"
            file = StoreFile(path, IDENTITY)
            for _ in range(6):
                file.append([encode_changes(samples.CHANGES)] * 3)
            file.write_term(7)
            file.close()
            self._right = path.read_bytes()

    def make(self, chance: random.Random) -> bytes:
        """Places and bytes to be written there; or a statement."""
        if chance.random() < 0.4:
            odd: Any = chance.choice((None, "", "x", "-1", "1e9", b"\0", 1.5, -1, 1 << 62, "9" * 30))
            return msgpack.packb([chance.choice(STATEMENTS), odd])  # type: ignore[no-any-return]
        size = len(self._right)
        places = [chance.randrange(min(size, chance.choice((100, 9_000, size)))) for _ in range(chance.randrange(1, 6))]
        return msgpack.packb([[place, chance.randbytes(chance.choice((1, 2, 16)))] for place in places])  # type: ignore[no-any-return]

    def take(self, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._take(msgpack.unpackb(data), Path(folder) / "sessions.db")

    def _take(self, damage: list[Any], path: Path) -> None:
        content = bytearray(self._right)
        if not isinstance(damage[0], str):
            for place, piece in damage:
                content[place : place + len(piece)] = piece
        path.write_bytes(content)
        if isinstance(damage[0], str):
            self._change(path, damage[0], damage[1])
        try:
            file = StoreFile(path, IDENTITY)
        except (*DISK_ERRORS, StoreUnusable):
            return
        try:
            self._read(file)
        except DISK_ERRORS:
            pass
        finally:
            file.close()

    def _change(self, path: Path, statement: str, odd: Any) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute(statement, (odd,) if "?" in statement else ())
        except sqlite3.Error:
            pass  # the statement does not fit the value: the file stays right
        finally:
            database.close()

    def _read(self, file: StoreFile) -> None:
        """As at a start; reading passes over what is damaged, and always ends."""
        for parts, rows in enumerate(file.read()):
            assert parts < 1_000, "reading goes on for ever"
            for payload in rows.payloads:
                decode_changes(payload)
        file.term()
        kept_clock.read(file.clock(), "boot")
        file.last_id()
        file.rows_bytes()


STATEMENTS = (
    "UPDATE rows SET payloads = ? WHERE id = 3",
    "UPDATE rows SET expires_ms = ? WHERE id = 2",
    "UPDATE rows SET id = ? WHERE id = 6",
    "UPDATE settings SET value = ? WHERE name = 'term'",
    "UPDATE settings SET value = ? WHERE name = 'format'",
    "UPDATE settings SET checksum = ? WHERE name = 'site'",
    "INSERT INTO settings VALUES ('clock', ?, 0)",
    "DELETE FROM settings WHERE name = 'id' OR ? IS NULL",
    "DROP TABLE rows",
    "ALTER TABLE rows RENAME COLUMN payloads TO other",
    "CREATE TABLE more (x)",
    "INSERT INTO rows (expires_ms, payloads) VALUES (9223372036854775807, ?)",
)


def _hold(condition: bool) -> None:
    assert condition

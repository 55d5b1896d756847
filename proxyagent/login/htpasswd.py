"""Passwords in a file of `user:hash` lines, as Apache's htpasswd writes it.

Rules of this file:

- Hashes are bcrypt or argon2; others (MD5, SHA-1, crypt, plain text) are too quick to guess, and refused at start.
- The file is looked at before each check and read again when it has changed. One that cannot be used any more lets
  nobody in.
- Checking takes a tenth of a second on purpose: in threads, two at a time. Nothing can end such a thread, so a hash
  that takes longer than anybody waits, or more memory than a machine has to spare, is refused at start too.
- A user who is not in the file costs as much as one who is: the hash of one of the others is checked instead.
- bcrypt knows 72 bytes of a password; as everything else that reads these files, we cut what is beyond them.
"""

import os
import re

import attrs
import bcrypt
import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from proxyagent.login.identity import BackendUnusable, Identity, Unavailable

FILE_BYTES_MAX = 16 * 1024 * 1024
"""A line has some 80: users in the hundred thousands belong into a directory."""

CHECKS_AT_A_TIME = 2

BCRYPT_COSTS = range(4, 17)
"""bcrypt itself begins at 4; each next one takes twice as long, and 16 some seconds."""

ARGON2_KIB_MAX = 1024 * 1024
ARGON2_WORK_MAX = 4 * 1024 * 1024
"""KiB times passes: some seconds."""

ARGON2_LANES_MAX = 64
"""Each is a thread."""

# the last of a salt's letters has four bits that must be zero, or bcrypt raises ValueError
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=[0-9]+\$m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,10})\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)
_BCRYPT_BYTES = 72


@attrs.frozen
class _Users:
    """What the file held when it had this stamp: hashes by user, and all of them."""

    stamp: tuple[int, int, int]
    hashes: dict[str, str] = attrs.field(repr=False)
    others: tuple[str, ...] = attrs.field(repr=False)


class Htpasswd:
    """The users of one file. `lower` where Alice and alice are one user. Raises BackendUnusable; reads the file."""

    def __init__(self, path: str, *, lower: bool = False) -> None:
        self._path = path
        self._lower = lower
        self._threads = trio.CapacityLimiter(CHECKS_AT_A_TIME)
        self._users = self._read()

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        """Whether the file has this user with this password."""
        name = user.lower() if self._lower else user
        right = await trio.to_thread.run_sync(self._is_right, name, password, limiter=self._threads)
        return Identity(name) if right else None

    def _is_right(self, user: str, password: str) -> bool:
        try:
            if _stamp(self._path) != self._users.stamp:
                self._users = self._read()
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror or error}") from None
        except BackendUnusable as error:
            raise Unavailable(str(error)) from None
        users = self._users
        if not users.hashes:
            return False
        other = users.others[hash(user) % len(users.others)]  # the same one each time this user is asked for
        fits = _fits(users.hashes.get(user, other), password)
        return fits and user in users.hashes

    def _read(self) -> _Users:
        try:
            stamp = _stamp(self._path)
            with open(self._path, "rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise BackendUnusable(f"{self._path}: {error.strerror or error}") from None
        if len(content) > FILE_BYTES_MAX:
            raise BackendUnusable(f"{self._path}: larger than {FILE_BYTES_MAX // 2**20} MiB; use a directory")
        try:
            hashes = _parse(content.decode(), self._lower)
        except UnicodeDecodeError:
            raise BackendUnusable(f"{self._path}: it is not text in UTF-8") from None
        except ValueError as error:
            raise BackendUnusable(f"{self._path}: {error}") from None
        return _Users(stamp, hashes, tuple(hashes.values()))


def _stamp(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parse(text: str, lower: bool) -> dict[str, str]:
    """The hashes by user. Raises ValueError, which names the line and quotes nothing of it."""
    hashes: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, rest = line.partition(":")
        user, hashed = user.lower() if lower else user, rest.partition(":")[0].strip()
        if not colon or not user:
            raise ValueError(f"line {number} is not USER:HASH")
        if user in hashes:
            raise ValueError(f"line {number} has a user that stands above it already")
        if not _BCRYPT.fullmatch(hashed) and not _ARGON2.fullmatch(hashed):
            raise ValueError(f"line {number} has a hash that is neither bcrypt nor argon2; set it anew: htpasswd -B")
        if not _affordable(hashed):
            raise ValueError(
                f"line {number} has a hash that takes too long or too much memory; set it anew: htpasswd -B"
            )
        hashes[user] = hashed
    return hashes


def _affordable(hashed: str) -> bool:
    """Whether checking a password against this hash ends in some seconds, within the memory that there is."""
    if by_bcrypt := _BCRYPT.fullmatch(hashed):
        return int(by_bcrypt[1]) in BCRYPT_COSTS
    by_argon2 = _ARGON2.fullmatch(hashed)
    assert by_argon2 is not None, "the caller has looked"
    kib, passes, lanes = map(int, by_argon2.groups())
    return kib <= ARGON2_KIB_MAX and kib * passes <= ARGON2_WORK_MAX and lanes <= ARGON2_LANES_MAX


def _fits(hashed: str, password: str) -> bool:
    given = password.encode(errors="surrogatepass")
    if _BCRYPT.fullmatch(hashed):
        return bcrypt.checkpw(given[:_BCRYPT_BYTES], hashed.encode())
    try:
        return PasswordHasher().verify(hashed, given)
    except (VerificationError, InvalidHashError):
        return False

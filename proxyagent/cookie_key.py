"""Key files of the failover cookie: made, read, and refused when they would not protect it.

Rules of this file:

- A key is 64 bytes, taken from its file as they are. A longer file counts by its first 64 bytes, with a warning.
- A shorter one is refused unless compatibility with IBM's rule is asked for: that rule fills up with zeros.
- A file is read under the rules of the secret's, from where a service manager put it too (protocol.io.secret_file).
- It is made with mode 0600 and never overwritten. Its content stands in no error and no repr.

Theory. A256CBC-HS512 authenticates with bytes 1 to 32 and encrypts with bytes 33 to 64. A pass-phrase of up to 32
bytes, filled up with zeros, leaves the AES key all zero: anybody reads such a cookie without knowing the phrase, and
may guess the phrase offline by its MAC.

Source: issue 7; IBM Application Gateway, "Managing Failover Between Containers".
"""

import contextlib
import os
import secrets
import stat

import attrs

from protocol.io import secret_file
from protocol.limits import COOKIE_KEY_BYTES
from protocol.mistakes import Mistake, MistakesFound

_AES_KEY = slice(COOKIE_KEY_BYTES // 2, COOKIE_KEY_BYTES)


@attrs.frozen
class CookieKey:
    """The 64 bytes of one key, and what an operator should know about them."""

    octets: bytes = attrs.field(repr=False)
    warnings: tuple[str, ...] = ()


def fitted(raw: bytes, *, padded: bool = False) -> CookieKey:
    """The key in `raw`, the content of a key file. With `padded`, IBM's rule: short ones are filled up with zeros.

    Raises ValueError with the reason for a key that does not protect.
    """
    warnings = []
    key = raw[:COOKIE_KEY_BYTES]
    if len(raw) > COOKIE_KEY_BYTES:
        warnings.append(f"it has more than {COOKIE_KEY_BYTES} bytes, of which only the first {COOKIE_KEY_BYTES} count")
    elif raw.endswith(b"\n") and raw[:-1].isascii():
        warnings.append("it is text that ends with a newline, which is part of the key")
    short = len(key) < COOKIE_KEY_BYTES
    key = key.ljust(COOKIE_KEY_BYTES, b"\0")
    if not raw:
        raise ValueError("it is empty; make one with: proxyagent keygen")
    if (short or not any(key[_AES_KEY])) and not padded:
        raise ValueError(_why_refused(len(raw), all_zero=not any(key[_AES_KEY])))
    if not any(key[_AES_KEY]):
        warnings.append(f"it has {len(raw)} bytes: the AES key is all zero, so anybody can read the cookies")
    elif short:
        warnings.append(f"it has {len(raw)} bytes and is filled up with zeros to {COOKIE_KEY_BYTES}")
    return CookieKey(key, tuple(warnings))


def _why_refused(size: int, *, all_zero: bool) -> str:
    return (
        f"it has {size} bytes, of {COOKIE_KEY_BYTES}: filled up with zeros, the AES key (bytes 33 to 64) would be "
        f"{'all' if all_zero else 'partly'} zero; make one with: proxyagent keygen "
        '(or, to share cookies with an IBM gateway that has this key, set compatibility = "iag")'
    )


def read(path: str, *, padded: bool = False, private: bool = True) -> CookieKey:
    """The key in the file at `path`; with `private` its mode must be that of a secret.

    Raises MistakesFound, one line that says what to do. Blocks on the disk.
    """
    try:
        with open(secret_file.readable(path), "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(COOKIE_KEY_BYTES + 1)
    except OSError as error:
        raise _mistake(path, os.strerror(error.errno) if error.errno else str(error)) from None
    others = secret_file.open_to_others(secret_file.readable(path), mode)
    if others and private:
        raise _mistake(path, f"mode {mode:04o} opens it to others; run: chmod 0600 {path}")
    try:
        key = fitted(raw, padded=padded)
    except ValueError as error:
        raise _mistake(path, str(error)) from None
    if others:
        key = attrs.evolve(key, warnings=(*key.warnings, f"mode {mode:04o} opens it to others"))
    return key


def make(path: str) -> None:
    """Write 64 random bytes to a new file of mode 0600, wholly or not at all.

    Raises MistakesFound rather than overwrite, or when it cannot be written. Blocks on the disk.
    """
    temporary = f"{path}.{secrets.token_hex(4)}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(secrets.token_bytes(COOKIE_KEY_BYTES))
                file.flush()
                os.fsync(descriptor)
            os.link(temporary, path)  # fails where something is there already, even a broken link
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    except FileExistsError:
        raise _mistake(path, "it exists, and a key is never overwritten; name another file, or move it away") from None
    except OSError as error:
        raise _mistake(path, os.strerror(error.errno) if error.errno else str(error)) from None


def _mistake(path: str, text: str) -> MistakesFound:
    return MistakesFound("", [Mistake(f"cookie key {path}", text)])

"""The password of the status page: a file with its hash, made by `authagent passwd`, and the check of a guess.

Rules of this file:

- The file holds one line, an argon2id hash with its own parameters; 0600 or 0640, as with the secret.
- The library is imported where it is needed: a bare install has none, and needs none.
- Hashing takes 64 MiB and a tenth of a second on purpose: never on the loop, and one at a time (page/sign_in.py).
- Nothing can end the thread that hashes: a hash that takes longer than seconds, or more than a gigabyte, is refused.
- Neither password nor hash stands in any error.
"""

import contextlib
import os
import re
import secrets
import stat

from protocol.mistakes import Mistake, MistakesFound

FILE_NAME = "admin"

LETTERS_MIN = 12
LETTERS_MAX = 1_024
"""What is typed is hashed: its length must not be the asker's to choose."""

_FILE_BYTES_MAX = 512
_OTHERS = 0o777 & ~0o640

_HASH = re.compile(r"\$argon2id\$v=19\$m=[0-9]{1,6},t=[0-9],p=[0-9]{1,2}\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+", re.ASCII)


def read(path: str) -> str:
    """The hash in the file; empty where there is no file. Raises MistakesFound. Blocks on the disk."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _mistake(path, os.strerror(error.errno) if error.errno else str(error)) from None
    if mode & _OTHERS:
        raise _mistake(path, f"mode {mode:04o} opens it to others; run: chmod 0600 {path}")
    line = content.decode("ascii", "replace").strip()
    if not _HASH.fullmatch(line) or len(content) > _FILE_BYTES_MAX:
        raise _mistake(path, "it is not what `authagent passwd` writes; run that again")
    return line


def check(password: str) -> None:
    """Raises ValueError, in one line, for a password that would not do."""
    if not LETTERS_MIN <= len(password) <= LETTERS_MAX:
        raise ValueError(f"a password has {LETTERS_MIN} to {LETTERS_MAX:,} letters: a few words, for example")
    if not password.isprintable():
        raise ValueError("a password has no control characters")


def write(path: str, password: str, owner: tuple[int, int] | None = None) -> None:
    """Put the password's hash in place of what the file holds, mode 0600; it belongs to `owner`, user and group.

    Raises MistakesFound, and has changed nothing, when it cannot be written. Blocks, a tenth of a second and more.
    """
    temporary = f"{path}.{secrets.token_hex(4)}.new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.write(f"{_hashed(password)}\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _mistake(path, os.strerror(error.errno) if error.errno else str(error)) from None


def is_right(password_hash: str, guess: str) -> bool:
    """Whether the guess is the password. Takes the same time for every wrong guess. Blocks, a tenth of a second."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(guess) > LETTERS_MAX:
        return False
    try:
        return PasswordHasher().verify(password_hash, guess.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def _hashed(password: str) -> str:
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError:
        text = 'needs argon2, which is not installed: pip install "one-login[http]"'
        raise MistakesFound("", [Mistake("passwd", text)]) from None
    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4).hash(password)  # RFC 9106, section 4


def _mistake(path: str, text: str) -> MistakesFound:
    return MistakesFound("", [Mistake(f"admin file {path}", text)])

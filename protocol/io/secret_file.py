"""The secret file: reading it under the rules of its mode, making it, changing it.

Rules of this file:

- 0600 or 0640, or stricter; others never. Under $CREDENTIALS_DIRECTORY or /run/secrets any mode will do, since there
  the service manager keeps others away.
- Where this process may not read the file itself, or there is none, one of the same name in $CREDENTIALS_DIRECTORY
  will do: the service manager has handed it over, as it was when the service started.
- A change is complete or did not happen: a new file beside the old one, synced, then put in its place.
- Nothing is overwritten that was not read before. The content appears in no error.

Source: DESIGN section 5.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence

from protocol import secret
from protocol.mistakes import Mistake, MistakesFound
from protocol.secret import Secrets

_FILE_BYTES_MAX = 4 * 1024

_OTHERS = 0o777 & ~0o640
"""The permission bits that a secret file must not have."""


def generate() -> str:
    """A new line: 256 random bits in 43 characters."""
    return secrets.token_urlsafe(32)


def read(path: str) -> Secrets:
    """The secret in the file at `path`.

    Raises MistakesFound, one line that says what to do, when it is missing, unreadable, open to others, or weak.
    Blocks on the disk.
    """
    path = readable(path)
    try:
        return secret.parse(_content(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise _mistake(path, "it is not text; make a new one with: authagent init") from None
    except ValueError as error:
        raise _mistake(path, str(error)) from None


def read_line(path: str) -> str:
    """The one line of a file with somebody else's secret, such as a password. Raises MistakesFound, as `read` does."""
    path = readable(path)
    lines = _content(path).decode("utf-8", "replace").splitlines()
    if len(lines) != 1 or not lines[0]:
        raise _mistake(path, "it must hold one line, and nothing else")
    return lines[0]


def _content(path: str) -> bytes:
    with _one_line(path), open(path, "rb") as file:
        _check_mode(path, os.fstat(file.fileno()).st_mode)
        content = file.read(_FILE_BYTES_MAX + 1)
    if len(content) > _FILE_BYTES_MAX:
        raise _mistake(path, "larger than 4 KiB: this is no secret file")
    return content


def read_or_make(path: str) -> Secrets:
    """The secret at `path`, made at first start together with its folder. Raises MistakesFound. Blocks on the disk."""
    with _one_line(path):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # The other agent of a loopback pair may make it in the same moment: whose file is there counts.
        with contextlib.suppress(FileExistsError):
            create(path, generate())
    return read(path)


def create(path: str, line: str) -> None:
    """Write a new secret file with mode 0600. Raises FileExistsError rather than overwrite. Blocks on the disk."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    temporary = _write_beside(path, [line], 0o600)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _sync_folder(path)


def add(path: str) -> None:
    """Put a new line before the one in the file. Raises MistakesFound when there are two already. Blocks."""
    lines = _lines(path)
    if len(lines) == secret.LINES_MAX:
        raise _mistake(path, "it has two lines already; drop the older one first: authagent secret drop")
    _replace(path, [generate(), *lines])


def drop(path: str) -> None:
    """Remove the older line. Raises MistakesFound when there is only one. Blocks on the disk."""
    lines = _lines(path)
    if len(lines) < secret.LINES_MAX:
        raise _mistake(path, "it has one line only, which is in use; add a new one first: authagent secret add")
    _replace(path, lines[:1])


def _lines(path: str) -> list[str]:
    return [line.decode() for line in read(path).lines]


def _replace(path: str, lines: Sequence[str]) -> None:
    """Exchange the content, keeping mode and owner."""
    with _one_line(path):
        real = os.path.realpath(path)
        status = os.stat(real)
        temporary = _write_beside(real, lines, stat.S_IMODE(status.st_mode))
        try:
            if (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
                os.chown(temporary, status.st_uid, status.st_gid)
            os.replace(temporary, real)
        except OSError:
            os.unlink(temporary)
            raise
        _sync_folder(real)


def _write_beside(path: str, lines: Sequence[str], mode: int) -> str:
    temporary = f"{path}.{secrets.token_hex(4)}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, mode)
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(descriptor)
    return temporary


def _sync_folder(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def readable(path: str) -> str:
    """The path itself, or where the service manager put a copy of the file for this process (LoadCredential)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    handed_over = os.path.join(folder, os.path.basename(path))
    if not folder or os.access(path, os.R_OK, effective_ids=True) or not os.path.exists(handed_over):
        return path
    return handed_over


def _check_mode(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _mistake(path, "it is not a file")
    if open_to_others(path, mode):
        raise _mistake(path, f"mode {stat.S_IMODE(mode):04o} opens it to others; run: chmod 0600 {path}")


def open_to_others(path: str, mode: int) -> bool:
    """Whether the mode of a file with something secret lets others in, and no service manager keeps them away."""
    return bool(stat.S_IMODE(mode) & _OTHERS) and not _kept_by_service_manager(path)


def _kept_by_service_manager(path: str) -> bool:
    folders = [folder for folder in ("/run/secrets", os.environ.get("CREDENTIALS_DIRECTORY", "")) if folder]
    ways = {os.path.abspath(path), os.path.realpath(path)}
    return any(way.startswith(f"{folder.rstrip('/')}/") for way in ways for folder in folders)


@contextlib.contextmanager
def _one_line(path: str) -> Iterator[None]:
    """Turns what the system says into one line for the operator."""
    try:
        yield
    except FileNotFoundError:
        raise _mistake(
            path, "there is no such file; copy it from a machine that has it, or run: authagent init"
        ) from None
    except PermissionError:
        user = f"user {os.geteuid()}"
        raise _mistake(path, f"{user} may not use it; make it the owner, or the group's with mode 0640") from None
    except IsADirectoryError:
        raise _mistake(path, "it is a folder, not a file") from None
    except OSError as error:
        raise _mistake(path, os.strerror(error.errno) if error.errno else str(error)) from None


def _mistake(path: str, text: str) -> MistakesFound:
    return MistakesFound("", [Mistake(f"secret file {path}", text)])

"""The file of a control socket: who may open it, who came, and what is removed."""

import errno
import grp
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.io.control_client import PATH_BYTES_MAX
from protocol.io.control_socket import ControlPathError, listening, peer_uid

AS_ROOT = os.geteuid() == 0

LEAVE_SOCKET = """
import os, sys
from protocol.io.control_socket import listening
with listening(sys.argv[1], mode=0o600, group=""):
    print("listening", flush=True)
    if len(sys.argv) > 2:
        sys.stdin.read()
    os._exit(0)
"""


def test_mode_and_group_are_set(tmp_path: Path) -> None:
    """The file has the mode and group of the settings, whatever the umask, and is gone afterwards."""
    path = str(tmp_path / "run" / "a.sock")
    group = grp.getgrgid(os.getegid()).gr_name
    before = os.umask(0o777)
    try:
        os.umask(0o077)
        with listening(path, mode=0o660, group=group):
            assert os.stat(path).st_mode & 0o777 == 0o660
            assert os.stat(path).st_gid == os.getegid()
    finally:
        os.umask(before)
    assert not os.path.exists(path)


def test_nobody_can_connect_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While group and mode are being set the file is its owner's alone, and nothing listens yet."""
    path = str(tmp_path / "a.sock")
    seen: list[int] = []
    chmod = os.chmod

    def watch(target: str, mode: int) -> None:
        seen.append(os.stat(path).st_mode & 0o777)
        with socket.socket(socket.AF_UNIX) as early:
            seen.append(early.connect_ex(path))
        chmod(target, mode)

    monkeypatch.setattr(os, "chmod", watch)
    before = os.umask(0)
    try:
        with listening(path, mode=0o666, group=""):
            assert seen == [0o600, errno.ECONNREFUSED]
    finally:
        os.umask(before)


def test_the_socket_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    """A process that ended without removing its socket does not keep the next one from starting."""
    path = str(tmp_path / "a.sock")
    subprocess.run([sys.executable, "-c", LEAVE_SOCKET, path], cwd=_root(), check=True, stdout=subprocess.DEVNULL)
    assert os.path.exists(path)
    with listening(path, mode=0o600, group=""), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_the_socket_of_a_running_process_is_left_alone(tmp_path: Path) -> None:
    """A second process is refused with one line, and the first one's socket still works."""
    path = str(tmp_path / "a.sock")
    command = [sys.executable, "-c", LEAVE_SOCKET, path, "wait"]
    with subprocess.Popen(command, cwd=_root(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == b"listening\n"
        with pytest.raises(ControlPathError, match="in use by a running process") as refused:
            _open(path)
        assert "\n" not in str(refused.value)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        child.stdin.close()


def test_a_socket_without_our_lock_is_left_alone_while_it_is_served(tmp_path: Path) -> None:
    """Another program's socket is not removed from under it."""
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(ControlPathError, match="in use"):
            _open(path)
    with listening(path, mode=0o600, group=""):
        pass


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """An ordinary file in the place of the socket is an error that names it."""
    (tmp_path / "a.sock").write_text("precious")
    with pytest.raises(ControlPathError, match="is no socket"):
        _open(str(tmp_path / "a.sock"))
    assert (tmp_path / "a.sock").read_text() == "precious"


def test_only_the_socket_that_was_made_is_removed_at_the_end(tmp_path: Path) -> None:
    """When somebody has put another socket in the place, that one stays."""
    path = str(tmp_path / "a.sock")
    with listening(path, mode=0o600, group=""):
        os.rename(path, f"{path}.old")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
    assert os.path.exists(path)


def test_a_path_that_is_too_long_is_told_in_bytes(tmp_path: Path) -> None:
    """A path of 108 bytes is refused with the bound; one of 107 works."""
    room = PATH_BYTES_MAX - len(os.fsencode(tmp_path)) - 1
    with listening(f"{tmp_path}/{'a' * room}", mode=0o600, group=""):
        pass
    with pytest.raises(ControlPathError, match="is 108 bytes long, the system takes 107; set a shorter one"):
        _open(f"{tmp_path}/{'a' * (room + 1)}")


@pytest.mark.parametrize(
    ("path", "group", "says"),
    [("a.sock", "no-such-group-here", "no such group"), ("file/a.sock", "", "cannot be made: .*/file is no folder")],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, path: str, group: str, says: str) -> None:
    """An unknown group and an impossible folder give one line each."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlPathError, match=says):
        _open(str(tmp_path / path), group)


@pytest.mark.skipif(not AS_ROOT, reason="becoming another user takes root")
def test_the_kernel_says_who_came() -> None:
    """The other side's user id is that of its process when it connected."""
    path = f"/tmp/control-test-{os.getpid()}.sock"
    try:
        with listening(path, mode=0o666, group="") as listener:
            for uid in (0, 65534):
                with socket.socket(socket.AF_UNIX) as client:
                    os.seteuid(uid)
                    try:
                        client.connect(path)
                    finally:
                        os.seteuid(0)
                    connection, _ = listener.accept()
                    assert peer_uid(connection) == uid
                    connection.close()
    finally:
        os.unlink(f"{path}.lock")


def _open(path: str, group: str = "") -> None:
    with listening(path, mode=0o600, group=group):
        raise AssertionError("listening")


def _root() -> Path:
    return Path(__file__).resolve().parents[3]

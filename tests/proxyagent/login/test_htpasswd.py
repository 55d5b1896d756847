"""A file of users: which hashes it may hold, that it is read again, and that an unknown user costs as much."""

import os
import subprocess
import threading
from pathlib import Path

import bcrypt
import pytest
from argon2 import PasswordHasher

from proxyagent.login import htpasswd
from proxyagent.login.htpasswd import Htpasswd
from proxyagent.login.identity import BackendUnusable, Identity, Unavailable

ARGON2 = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def bcrypted(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """alice by bcrypt, bob by argon2."""
    path = tmp_path / "users"
    path.write_text(f"# people\nalice:{bcrypted('wonderland')}\n\nbob:{ARGON2.hash('builder')}:more\n")
    return path


@pytest.mark.parametrize(("user", "password"), [("alice", "wonderland"), ("bob", "builder")])
async def test_both_kinds_of_hashes_are_checked(file: Path, user: str, password: str) -> None:
    """The right password is, every other one is not."""
    users = Htpasswd(str(file))
    assert await users.check(user, password, "") == Identity(user)
    assert await users.check(user, f"{password}.", "") is None
    assert await users.check(user, "", "") is None
    assert await users.check("nobody", password, "") is None


def test_a_hash_whose_salt_is_none_is_refused(tmp_path: Path) -> None:
    """bcrypt would raise for it at each log-in."""
    path = tmp_path / "users"
    path.write_text(f"alice:$2b$04${'a' * 53}\n")
    with pytest.raises(BackendUnusable, match="line 1 has a hash that is neither"):
        Htpasswd(str(path))


@pytest.mark.parametrize(
    "hashed",
    [
        bcrypted("x").replace("$04$", "$03$"),
        bcrypted("x").replace("$04$", "$17$"),
        bcrypted("x").replace("$04$", "$99$"),
        ARGON2.hash("x").replace("m=64", "m=1048577"),
        ARGON2.hash("x").replace("m=64,t=1", "m=1048576,t=5"),
        ARGON2.hash("x").replace("p=1", "p=65"),
    ],
    ids=["below bcrypt's", "beyond ours", "far beyond", "memory", "passes", "lanes"],
)
def test_a_hash_that_nobody_can_wait_for_is_refused(tmp_path: Path, hashed: str) -> None:
    """Checked it would take hours, or all memory, in a thread that nothing ends; or bcrypt raises what is not its."""
    path = tmp_path / "users"
    path.write_text(f"bob:{bcrypted('builder')}\nalice:{hashed}\n")
    with pytest.raises(BackendUnusable, match="line 2 has a hash that takes too long"):
        Htpasswd(str(path))


async def test_what_apache_writes_is_read(tmp_path: Path) -> None:
    """`htpasswd -B`, where it is installed, else a line that it wrote ($2y$)."""
    line = "carol:$2y$05$" + bcrypted("secret words").replace("$2b$04$", "")
    path = tmp_path / "users"
    path.write_text(line + "\n")
    try:
        subprocess.run(["htpasswd", "-bB", str(path), "carol", "secret words"], check=True, capture_output=True)
    except FileNotFoundError:
        path.write_text(f"carol:{bcrypted('secret words').replace('$2b$', '$2y$')}\n")
    assert await Htpasswd(str(path)).check("carol", "secret words", "") == Identity("carol")


async def test_bcrypt_counts_72_bytes(tmp_path: Path) -> None:
    """As everything that writes these files has it; a long password is no error."""
    path = tmp_path / "users"
    path.write_text(f"alice:{bcrypted('a' * 72)}\n")
    users = Htpasswd(str(path))
    assert await users.check("alice", "a" * 100, "") == Identity("alice")
    assert await users.check("alice", "a" * 71, "") is None


async def test_names_are_one_in_any_letters_where_the_file_says_so(tmp_path: Path) -> None:
    """With user_names = "lower"."""
    path = tmp_path / "users"
    path.write_text(f"Alice:{bcrypted('wonderland')}\n")
    assert await Htpasswd(str(path), lower=True).check("ALICE", "wonderland", "") == Identity("alice")
    assert await Htpasswd(str(path)).check("alice", "wonderland", "") is None


@pytest.mark.parametrize(
    "hashed",
    ["$apr1$eHhX0eQT$Y3L8sZC9iJ1Pbl0DdN9Zk0", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "rqXexS6ZhobKA", "pl", "$2y$05$"],
)
def test_other_hashes_are_refused_at_start(tmp_path: Path, hashed: str) -> None:
    """The line is named, and nothing of it."""
    path = tmp_path / "users"
    path.write_text(f"\nalice:{hashed}\n")
    with pytest.raises(BackendUnusable, match="line 2 has a hash that is neither bcrypt nor argon2") as caught:
        Htpasswd(str(path))
    assert "alice" not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"alice\n", "is not USER:HASH"), (b":x\n", "line 1 is not USER:HASH"), (b"\xff\xfe\n", "not text in UTF-8")],
)
def test_what_is_no_such_file_is_refused_at_start(tmp_path: Path, content: bytes, told: str) -> None:
    """So is one that is not there, one that is a folder, and a user who stands there twice."""
    path = tmp_path / "users"
    path.write_bytes(content)
    for where in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(BackendUnusable, match=told if where == path else "No such file|Is a directory"):
            Htpasswd(str(where))
    path.write_text(f"a:{bcrypted('x')}\nA:{bcrypted('y')}\n")
    Htpasswd(str(path))
    with pytest.raises(BackendUnusable, match="line 2 has a user that stands above it already"):
        Htpasswd(str(path), lower=True)


async def test_the_file_is_read_again_when_it_has_changed(file: Path) -> None:
    """A new user comes in, one who was taken out does not; nothing is reloaded by hand."""
    users = Htpasswd(str(file))
    new = file.with_name("new")
    new.write_text(f"dave:{bcrypted('new here')}\n")
    os.replace(new, file)
    assert await users.check("dave", "new here", "") == Identity("dave")
    assert await users.check("alice", "wonderland", "") is None


async def test_a_file_that_went_bad_lets_nobody_in_until_it_is_good(file: Path) -> None:
    """Not by what it held before either: an operator may have taken somebody out in the same stroke."""
    users, good = Htpasswd(str(file)), file.read_text()
    file.write_text("alice:plain\n" + good)
    for _ in range(2):
        with pytest.raises(Unavailable, match="line 1"):
            await users.check("alice", "wonderland", "")
    file.unlink()
    with pytest.raises(Unavailable, match="No such file"):
        await users.check("alice", "wonderland", "")
    file.write_text(good)
    assert await users.check("alice", "wonderland", "") == Identity("alice")


async def test_an_empty_file_is_nobody(tmp_path: Path) -> None:
    """A page may be opened before its users are there."""
    path = tmp_path / "users"
    path.touch()
    assert await Htpasswd(str(path)).check("alice", "wonderland", "") is None


async def test_every_check_costs_one_hash_off_the_loop(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right, wrong and unknown: one hash each, of the file, in another thread; an unknown user always the same."""
    checked: list[tuple[str, bool]] = []

    def fits(hashed: str, password: str) -> bool:
        checked.append((hashed, threading.current_thread() is threading.main_thread()))
        return True

    monkeypatch.setattr(htpasswd, "_fits", fits)
    users = Htpasswd(str(file))
    assert await users.check("alice", "x", "") == Identity("alice")
    for _ in range(3):
        assert await users.check("nobody", "x", "") is None
    assert len(checked) == 4 and not any(on_loop for _, on_loop in checked)
    assert len({hashed for hashed, _ in checked[1:]}) == 1

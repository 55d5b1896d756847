"""Key files: what they must be, how they are made, and why short ones are refused."""

import os
import stat
from pathlib import Path

import pytest

from protocol.mistakes import MistakesFound
from proxyagent import cookie_key

RANDOM = bytes(range(1, 65))


def test_a_key_is_its_64_bytes() -> None:
    """64 bytes count as they are, and give no warning."""
    assert cookie_key.fitted(RANDOM) == cookie_key.CookieKey(RANDOM)


@pytest.mark.parametrize("size", [1, 24, 32, 33, 63])
def test_a_short_key_is_refused_with_the_reason(size: int) -> None:
    """It says what filling up with zeros would do, and names both ways out."""
    with pytest.raises(ValueError, match=rf"has {size} bytes.* AES key .*(all|partly) zero; .*keygen.*compatib"):
        cookie_key.fitted(RANDOM[:size])


def test_a_key_that_was_filled_up_elsewhere_is_refused_too() -> None:
    """64 bytes of which the second half is zero are no better than 32."""
    with pytest.raises(ValueError, match="all zero"):
        cookie_key.fitted(RANDOM[:32] + bytes(32))


def test_compatibility_fills_up_with_zeros_and_says_what_that_means() -> None:
    """IBM's rule, on request; up to 32 bytes leave no AES key at all."""
    short = cookie_key.fitted(b"This is only a test key!", padded=True)
    assert short.octets == b"This is only a test key!" + bytes(40)
    assert "the AES key is all zero" in short.warnings[0]
    longer = cookie_key.fitted(RANDOM[:40], padded=True)
    assert longer.octets == RANDOM[:40] + bytes(24)
    assert longer.warnings == ("it has 40 bytes and is filled up with zeros to 64",)


def test_an_empty_key_is_refused_in_either_way() -> None:
    """64 zeros are a key that everybody has."""
    for padded in (False, True):
        with pytest.raises(ValueError, match="empty"):
            cookie_key.fitted(b"", padded=padded)


def test_a_long_key_counts_by_its_first_64_bytes_with_a_warning() -> None:
    """As IBM's rule has it: bytes, not characters."""
    assert cookie_key.fitted(RANDOM + b"x").octets == RANDOM
    assert "first 64 count" in cookie_key.fitted(RANDOM + b"x").warnings[0]
    phrase = "é" * 40
    assert cookie_key.fitted(phrase.encode()).octets == phrase.encode()[:64]


def test_a_newline_at_the_end_of_a_text_is_told() -> None:
    """An editor added it, and it is part of the key."""
    assert "newline" in cookie_key.fitted(b"k" * 63 + b"\n").warnings[0]
    assert not cookie_key.fitted(RANDOM[:63] + b"\xff").warnings


def test_no_repr_shows_a_key() -> None:
    """It may end up in a log."""
    assert "x" * 8 not in repr(cookie_key.fitted(b"x" * 64))


def test_a_made_key_is_private_random_and_readable(tmp_path: Path) -> None:
    """64 bytes, mode 0600 whatever the umask, another one each time, and nothing is left beside it."""
    before = os.umask(0)
    try:
        for name, umask in (("one", 0), ("two", 0o777)):
            os.umask(umask)
            cookie_key.make(str(tmp_path / name))
    finally:
        os.umask(before)
    one, two = (cookie_key.read(str(tmp_path / name)) for name in ("one", "two"))
    assert one.octets != two.octets and not one.warnings
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither a file, nor what a link points to, nor a link to nothing."""
    (tmp_path / "key").write_bytes(RANDOM)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    for name in ("key", "link", "broken"):
        with pytest.raises(MistakesFound, match="never overwritten"):
            cookie_key.make(str(tmp_path / name))
    assert (tmp_path / "key").read_bytes() == RANDOM
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(MistakesFound, match="No such file"):
        cookie_key.make(str(tmp_path / "folder" / "key"))


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """As the secret is; on the command line it is only told."""
    path = tmp_path / "key"
    path.write_bytes(RANDOM)
    path.chmod(0o644)
    with pytest.raises(MistakesFound, match="mode 0644 opens it to others; run: chmod 0600"):
        cookie_key.read(str(path))
    assert cookie_key.read(str(path), private=False).warnings == ("mode 0644 opens it to others",)
    path.chmod(0o640)
    assert cookie_key.read(str(path)) == cookie_key.CookieKey(RANDOM)


def test_a_service_manager_may_hand_a_key_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under $CREDENTIALS_DIRECTORY any mode will do; and there it is looked for where its own place has none."""
    (tmp_path / "cookie.key").write_bytes(RANDOM)
    (tmp_path / "cookie.key").chmod(0o444)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert cookie_key.read(str(tmp_path / "cookie.key")) == cookie_key.CookieKey(RANDOM)
    assert cookie_key.read("/nowhere/cookie.key") == cookie_key.CookieKey(RANDOM)


def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path) -> None:
    """Missing, a folder, or short: each names the file."""
    (tmp_path / "short").write_bytes(b"short")
    (tmp_path / "short").chmod(0o600)
    for name in ("missing", "short", "."):
        with pytest.raises(MistakesFound) as found:
            cookie_key.read(str(tmp_path / name))
        assert str(tmp_path / name) in str(found.value)
        assert len(str(found.value).splitlines()) == 1

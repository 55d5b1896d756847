"""The lines of a secret, and what is too weak to be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import secret

GOOD = "q3V9x-7fKz0LmWc2RtY8uBn5HsJd1PaEoGi4TkXwZvM"
OTHER = "Zt7_pLw0aXc9Qe2Rv5Ty8Ui1Op4As6Df3Gh-JkMnBVy"


def test_lines_are_newest_first_and_comments_are_skipped() -> None:
    """One or two lines, in the order of the file."""
    found = secret.parse(f"# made by init\n{GOOD}\n\n{OTHER}\n")
    assert found.lines == (GOOD.encode(), OTHER.encode())
    assert (found.newest, found.oldest) == found.lines


def test_a_line_is_found_by_its_id_and_nothing_else() -> None:
    """by_id finds exactly the line whose id it is."""
    found = secret.parse(f"{GOOD}\n{OTHER}")
    assert found.by_id(secret.secret_id(OTHER.encode())) == OTHER.encode()
    assert found.by_id(b"\0\0\0\0") is None
    assert found.by_id(b"") is None


def test_derived_values_differ_by_line_and_purpose() -> None:
    """The id on the wire is no part of the digest key, and each line has its own of both."""
    values = {secret.secret_id(line.encode()) for line in (GOOD, OTHER)}
    keys = {secret.digest_key(line.encode()) for line in (GOOD, OTHER)}
    assert len(values) == len(keys) == 2
    assert {len(value) for value in values} == {4} and {len(key) for key in keys} == {32}
    assert not any(key.startswith(value) for key in keys for value in values)


def test_the_content_is_never_shown() -> None:
    """repr and str of the secret hold no part of it."""
    found = secret.parse(GOOD)
    assert GOOD[:6] not in f"{found!r}{found}{[found]}"


def test_equality_is_by_lines() -> None:
    """A reload can tell whether anything changed."""
    assert secret.parse(GOOD) == secret.parse(f"{GOOD}\n")
    assert secret.parse(GOOD) != secret.parse(OTHER)
    assert len({secret.parse(GOOD), secret.parse(GOOD)}) == 1


@pytest.mark.parametrize(
    "line",
    [
        "Secret",
        "short-but-odd-7Fx",
        "secretsecretsecretsecretsecret",
        "password" * 5,
        "passwordpassword1234567890abc",
        "a" * 40,
        "abcd" * 10,
        "0123456789abcdefghijklmnopqrstuvwxyz",
        "x7Qp" * 8,
        "two words 7FxQ9 and more of them",
        "ünïcode-ünïcode-ünïcode-ünïcode",
        "z9" * 400,
        "tab\tinside-7FxQ9LmWc2RtY8u",
    ],
)
def test_weak_lines_are_refused_without_being_quoted(line: str) -> None:
    """Short, repeated, regular, well-known and oddly written lines are refused, and the error does not quote them."""
    reason = secret.weakness(line.encode())
    assert reason is not None
    with pytest.raises(ValueError, match="weak") as caught:
        secret.parse(line)
    assert line not in str(caught.value) and "\n" not in str(caught.value)


@given(st.binary(min_size=16, max_size=32))
def test_random_bits_in_hex_are_refused_only_when_they_are_regular(value: bytes) -> None:
    """Whatever has enough different bytes in no order is accepted, so that any good generator will do."""
    if len(set(value)) >= 14:
        assert secret.weakness(value.hex().encode()) is None or secret._regular(value.hex())


@pytest.mark.parametrize("text", ["", "\n\n# only a comment\n", f"{GOOD}\n{OTHER}\n{GOOD}x", f"{GOOD}\n{GOOD}"])
def test_none_too_many_or_twice_the_same_line_are_refused(text: str) -> None:
    """One or two different lines, or an error that says so."""
    with pytest.raises(ValueError, match="secret file"):
        secret.parse(text)


def test_advice_is_for_what_is_accepted_but_poor() -> None:
    """A line between both bounds is advised against, a generated one is not."""
    poor = "k3x9q2m7k3z9q2w7k3x8"
    assert secret.advice(GOOD.encode()) is None
    assert secret.weakness(poor.encode()) is None
    assert "bits" in (secret.advice(poor.encode()) or "")

"""What a host program hands in: bounds and forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, limits
from protocol import key as keys
from protocol.session import Login, LoginId, Record, State
from proxyagent.core import inputs
from proxyagent.core.columns import changes_of
from proxyagent.errors import LimitExceeded


@given(st.one_of(st.text(max_size=300), st.from_regex(r"[0-9a-f.:%+cookie]{0,50}")))
def test_keys_are_those_of_the_protocol(text: str) -> None:
    """The short way agrees with protocol.key about every text."""
    try:
        wanted: str | None = keys.canonical(text)
    except ValueError:
        wanted = None
    if wanted is None:
        with pytest.raises(LimitExceeded):
            inputs.key(text)
        assert inputs.other_key(text) is None
    else:
        assert inputs.key(text) == wanted
        assert (inputs.other_key(text) or text) == wanted


@given(
    st.dictionaries(st.text(max_size=50), st.one_of(st.text(max_size=200), st.lists(st.text(max_size=50))), max_size=40)
)
def test_attributes_that_pass_can_be_sent(given_attributes: dict[str, str | list[str]]) -> None:
    """Attributes either raise LimitExceeded or travel as they are."""
    try:
        packed = inputs.attributes(given_attributes)
    except LimitExceeded:
        return
    record = Record(LoginId("p1", 1, 1), Login("k", "u", "s", 1, 2, 60, packed), 1, State.ALIVE)
    (payload,) = codec.encode_payloads(changes_of(record))
    assert codec.decode_changes(payload).logins[0].attributes == [packed]
    assert dict(packed) == {k: v if isinstance(v, str) else tuple(v) for k, v in given_attributes.items()}


@pytest.mark.parametrize(
    "attributes",
    [
        {str(number): "" for number in range(limits.ATTRIBUTES_MAX + 1)},
        {"a": "x" * limits.ATTRIBUTES_BYTES_MAX},
        {"": "x"},
        {"a": "\ud800"},
    ],
)
def test_attributes_over_their_bounds_are_refused(attributes: dict[str, str]) -> None:
    """Too many, too long, nameless, or no text."""
    with pytest.raises(LimitExceeded):
        inputs.attributes(attributes)


@pytest.mark.parametrize("user", ["", "x" * (limits.USER_BYTES_MAX + 1), "a\0b", "ä" * limits.USER_BYTES_MAX, "\ud800"])
def test_users_over_their_bounds_are_refused(user: str) -> None:
    """Empty, too long in bytes, with NUL, or no text."""
    with pytest.raises(LimitExceeded):
        inputs.user(user, "exact")


def test_user_names_are_lowered_where_the_file_says_so() -> None:
    """user_names = "lower" makes Alice and alice one."""
    assert inputs.user("Alice", "lower") == "alice"
    assert inputs.user("Alice", "exact") == "Alice"


def test_times_have_bounds() -> None:
    """Idle at least a minute; a lifetime within the configured one; nothing given means the configured."""
    assert inputs.idle_timeout_s(None, 1_800) == 1_800
    assert inputs.idle_timeout_s(60.2, 1_800) == 61
    assert inputs.lifetime_ms(None, 5_000) == 5_000
    assert inputs.lifetime_ms(1.5, 5_000) == 1_500
    for call in (
        lambda: inputs.idle_timeout_s(59, 1_800),
        lambda: inputs.idle_timeout_s(8 * 24 * 3600, 1_800),
        lambda: inputs.lifetime_ms(0, 5_000),
        lambda: inputs.lifetime_ms(5.1, 5_000),
        lambda: inputs.idle_timeout_s(math.nan, 1_800),
        lambda: inputs.lifetime_ms(math.inf, 5_000),
        lambda: inputs.lifetime_ms(math.nan, 5_000),
    ):
        with pytest.raises(LimitExceeded):
            call()


@pytest.mark.parametrize("wrong", [None, 5, b"10.0.0.1"])
def test_what_is_no_text_is_a_type_error(wrong: object) -> None:
    """A key that is no str is a mistake in the program, not a limit."""
    with pytest.raises(TypeError):
        inputs.key(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        inputs.attributes({"a": wrong if wrong is not None else [5]})  # type: ignore[dict-item]

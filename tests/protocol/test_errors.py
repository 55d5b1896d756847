"""The error tree and the codes, as old releases know them."""

import pytest

from protocol.errors import Code, LocalProtocolError, ProtocolError, RemoteProtocolError

RELEASED = {
    1: "STOPPING",
    2: "NOT_MASTER",
    3: "DUPLICATE",
    4: "UNLISTED",
    5: "UNAUTHORIZED",
    6: "UNKNOWN_SECRET",
    7: "VERSION",
    8: "CLOCK",
    9: "PROTOCOL",
    10: "UNKNOWN_MESSAGE",
    11: "TOO_MANY",
    12: "SLOW_READER",
    13: "SILENT",
    14: "SUPERSEDED",
    15: "WRONG_SITE",
    16: "BUSY",
}
"""Numbers that have left the house: they keep their meaning for ever."""


def test_a_number_keeps_its_meaning() -> None:
    """No code that an old release may send has another name here."""
    assert {number: Code(number).name for number in RELEASED} == RELEASED


def test_blame_is_told_apart() -> None:
    """Whoever handles a peer's breach does not swallow a bug of ours with it, and the other way round."""
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)


@pytest.mark.parametrize("code", [None, *Code])
def test_a_breach_carries_its_text_and_code(code: Code | None) -> None:
    """A breach is PROTOCOL unless it says otherwise, and its text is the one line to be logged."""
    error = RemoteProtocolError("what is wrong") if code is None else RemoteProtocolError("what is wrong", code)

    assert error.code is (Code.PROTOCOL if code is None else code)
    assert str(error) == "what is wrong"

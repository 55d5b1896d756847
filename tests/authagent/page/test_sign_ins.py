"""Sign-ins: bounded in time and number, and over with the password that opened them."""

from authagent.page import sign_ins
from authagent.page.sign_ins import IDLE_S, LIFETIME_S, SignIns


def opened() -> SignIns:
    signed_in = SignIns()
    signed_in.keep("hash")
    signed_in.open("token", "form token", 0.0)
    return signed_in


def test_a_token_finds_its_sign_in_and_no_other_does() -> None:
    """Neither the empty one nor the form's."""
    signed_in = opened()
    found = signed_in.find("token", 1.0)
    assert found is not None and found.form_token == "form token"
    assert [signed_in.find(each, 1.0) for each in ("", "form token", "tokem", "\udc80")] == [None] * 4


def test_it_ends_after_an_hour_unused_and_after_eight_in_any_case() -> None:
    """An open page does not keep it, requests do, up to the end."""
    unused = opened()
    assert unused.is_open("token", IDLE_S * 2) and unused.find("token", IDLE_S) is None
    used = opened()
    moments = [hour * (IDLE_S - 1) for hour in range(1, 9)]
    assert all(used.find("token", moment) for moment in moments)
    assert used.find("token", LIFETIME_S) is None
    assert not used.is_open("token", LIFETIME_S)


def test_a_new_password_ends_all() -> None:
    """The same one read again ends none."""
    signed_in = opened()
    signed_in.keep("hash")
    assert signed_in.is_open("token", 1.0) and signed_in.are_by("hash")
    signed_in.keep("another")
    assert not signed_in.is_open("token", 1.0) and not signed_in.are_by("hash")


def test_signing_out() -> None:
    """Twice does no harm."""
    signed_in = opened()
    signed_in.close("token")
    signed_in.close("token")
    assert len(signed_in) == 0


def test_there_are_a_hundred_at_most() -> None:
    """The oldest makes room; nothing of a token is in memory."""
    signed_in = opened()
    for number in range(sign_ins.SIGN_INS_MAX):
        signed_in.open(f"token {number}", "form", 1.0)
    assert len(signed_in) == sign_ins.SIGN_INS_MAX
    assert signed_in.find("token", 1.0) is None
    assert signed_in.find("token 0", 1.0) is not None
    assert "token" not in repr(signed_in._open).replace("form_token", "")

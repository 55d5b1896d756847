"""Guessing the password: ten wrong ones lock for a minute, each address and all together."""

from authagent.page import attempts
from authagent.page.attempts import Attempts
from protocol.io.http.attempts import FORGOTTEN_AFTER_S, LOCKED_S, WRONG_MAX


def test_ten_wrong_ones_lock_for_a_minute() -> None:
    """Then there are ten more; nothing else opens the lock."""
    tried = Attempts()
    assert [tried.wrong("a", 100.0) for _ in range(WRONG_MAX)] == [False] * 9 + [True]
    assert tried.locked_s("a", 100.0) == LOCKED_S
    assert tried.locked_s("a", 130.0) == 30.0
    assert tried.locked_s("a", 160.0) == 0.0
    assert [tried.wrong("a", 160.0) for _ in range(WRONG_MAX)] == [False] * 9 + [True]
    assert tried.wrong_total == 20


def test_all_addresses_together_have_ten() -> None:
    """Who has many addresses gains nothing by them."""
    tried = Attempts()
    for number in range(WRONG_MAX):
        tried.wrong(f"address {number}", 5.0)
    assert tried.locked_s("one more", 5.0) == LOCKED_S


def test_a_right_one_forgets_the_wrong_ones() -> None:
    """Of its address, and of all."""
    tried = Attempts()
    for _ in range(5):
        for _ in range(WRONG_MAX - 1):
            assert not tried.wrong("a", 1.0)
        tried.right("a")
    assert tried.locked_s("a", 1.0) == 0.0


def test_a_right_one_opens_no_lock() -> None:
    """Whoever else signs in, an address that is locked stays so."""
    tried = Attempts()
    for _ in range(WRONG_MAX):
        tried.wrong("a", 1.0)
    tried.right("b")
    assert tried.locked_s("a", 1.0) > 0


def test_wrong_ones_are_forgotten_after_a_while() -> None:
    """An operator who mistypes once a day is never locked out."""
    tried = Attempts()
    assert not any(tried.wrong("a", day * 86_400.0) for day in range(1, 100))


def test_addresses_are_bounded() -> None:
    """A flood from everywhere takes no memory."""
    tried = Attempts()
    for number in range(attempts.ADDRESSES_MAX + 500):
        tried.wrong(f"address {number}", number * FORGOTTEN_AFTER_S * 2)
    assert len(tried.by_address) == attempts.ADDRESSES_MAX

"""Whom to dial at another site, and when."""

from authagent.core.reaching import QUICK_S, REFUSED_S, WINDOW_S_MAX, Reaching
from authagent.core.settings import RemoteSite

PAIR = RemoteSite("lan2", ("1", "2"))


def test_agents_are_tried_in_turn_for_ever() -> None:
    """One after the other, with waits that grow to a second and no further; every third try is a patient one."""
    reaching = Reaching(PAIR)
    reaching.start(10.0)
    tried, waits = [], []
    now_s = 10.0
    for _ in range(12):
        assert reaching.due_s is not None
        waits.append(round(reaching.due_s - now_s, 6))
        now_s = reaching.due_s
        tried.append(reaching.choose(3.0))
        assert reaching.due_s is None and reaching.dialling
        reaching.failed(now_s, 1.0, refused=False)
    assert [agent for agent, _ in tried] == ["1", "2"] * 6
    assert [timeout_s for _, timeout_s in tried[:6]] == [QUICK_S, QUICK_S, 3.0, QUICK_S, QUICK_S, 3.0]
    assert waits[0] == 0.0 and waits == sorted(waits) and waits[-1] == WINDOW_S_MAX


def test_a_redirect_is_followed_at_once_but_not_for_ever() -> None:
    """The other agent, twice at most; then with a wait, until a master talks."""
    reaching = Reaching(PAIR)
    reaching.start(0.0)
    assert reaching.choose(3.0)[0] == "1"
    reaching.reached()
    for agent in ("2", "1"):
        reaching.redirected(5.0, 0.5)
        assert reaching.due_s == 5.0
        assert reaching.choose(3.0)[0] == agent
        reaching.reached()
    reaching.redirected(5.0, 0.5)
    assert reaching.due_s is not None and reaching.due_s > 5.0
    reaching.serves("2")
    reaching.redirected(6.0, 0.5)
    assert reaching.due_s == 6.0


def test_who_refuses_is_asked_seldom() -> None:
    """An operator must set something right; a stop ends the dialling, and a dial under way is not doubled."""
    reaching = Reaching(PAIR)
    reaching.start(0.0)
    reaching.choose(3.0)
    reaching.start(1.0)
    assert reaching.due_s is None
    reaching.failed(1.0, 0.0, refused=True)
    assert reaching.due_s == 1.0 + REFUSED_S / 2
    reaching.stop()
    assert reaching.due_s is None

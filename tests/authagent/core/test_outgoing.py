"""What arose here and waits to cross."""

from authagent.core.outgoing import Outgoing
from tests.authagent.core.machine import ORIGIN, logins


def test_only_what_arose_here_waits_and_only_while_somebody_follows() -> None:
    """Whatever site a session is from; what came over from another site leaves over no other link."""
    outgoing = Outgoing("lan1")
    outgoing.note(logins("10.0.0.1"), "lan1")
    assert outgoing.waiting is None
    outgoing.waiting = []
    guest = logins("10.0.0.2", first=1, site="lan2")
    outgoing.note(guest, "lan1")
    outgoing.note(logins("10.0.0.3", first=2), "lan2")
    assert outgoing.waiting == [guest]


def test_a_login_of_ours_that_comes_back_makes_its_origin_a_stranger() -> None:
    """It did not cross from here, so nobody can say who else holds it."""
    outgoing = Outgoing("lan1")
    outgoing.note(logins("10.0.0.1", site="lan2"), "lan2")
    outgoing.note(logins("10.0.0.1"), "lan1")
    assert outgoing.strangers == set()
    outgoing.note(logins("10.0.0.1"), "lan2")
    assert outgoing.strangers == {ORIGIN}

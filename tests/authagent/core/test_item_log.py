"""What the log says about items: the words of the source, and not more lines than a disk can bear."""

import attrs

from authagent.core.commands import Log
from authagent.core.item_log import TOLD_A_SECOND_MAX, ItemLog
from protocol.item import SINGLE_USE, Claim, Item, claimed
from protocol.messages import Redemption
from tests.spec.speakers import NOW_MS, now

CODE = Item("provision-code", "c0de", "gfield", "lan1", NOW_MS, NOW_MS + 600_000, SINGLE_USE)
WANTED = Redemption(1, "provision-code", "", "gfield", b"r", "phone", (b"LINE",), (b"proof" * 6,))


def said(commands: list[object]) -> list[object]:
    return [command.keys["said"] for command in commands if isinstance(command, Log)]


def test_the_words_of_the_source() -> None:
    """Its administrators know what to do when they read them."""
    log = ItemLog()
    taken = claimed(CODE, Claim(b"r", "phone", NOW_MS, "lan1/authagent-1", True))

    assert said([*log.made(CODE, now())]) == ['Provision code created for user "gfield"']
    assert said([*log.redeemed(taken, now(), alone=False)]) == ['User "gfield" provisioned successfully']
    failed = 'User "gfield" provision failed, A valid session could not be loaded or created for the user.'
    assert said([*log.refused(WANTED, "gfield", "wrong", now())]) == [failed]
    unknown = "Mobile request from unknown user; the user needs to reprovision"
    assert said([*log.refused(WANTED, "gfield", "unknown_user", now())]) == [unknown]
    assert said([*log.unavailable(WANTED, "gfield", now())]) == ["Error Server Connection"]
    assert said([*log.redeemed(taken, now(), alone=True)])[1] == "SYNC_ERROR, the partner did not confirm it in time"


def test_other_kinds_are_not_provisioned() -> None:
    """An image is redeemed or refused, and nobody is told to reprovision."""
    wanted = attrs.evolve(WANTED, kind="image")

    assert said([*ItemLog().refused(wanted, "gfield", "unknown_user", now())]) == ["refused"]
    assert said([*ItemLog().made(attrs.evolve(CODE, kind="image"), now())]) == ["created"]


def test_using_a_code_twice_is_a_warning() -> None:
    """That is how a stolen code shows."""
    (line,) = ItemLog().refused(WANTED, "gfield", "used", now())

    assert isinstance(line, Log) and line.grade == "warning"


def test_whoever_guesses_does_not_fill_the_disk() -> None:
    """At most so many lines a second; the next one says how many were held back. No line holds a proof."""
    log = ItemLog()
    told = [line for _ in range(TOLD_A_SECOND_MAX + 7) for line in log.refused(WANTED, "gfield", "wrong", now())]
    (later,) = log.refused(WANTED, "gfield", "wrong", now(1.5))

    assert len(told) == TOLD_A_SECOND_MAX
    assert isinstance(later, Log) and later.keys["held_back"] == 7
    assert "proof" not in repr(told) and "proof" not in repr(WANTED)

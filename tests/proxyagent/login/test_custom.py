"""A function of the operator's own as a back end."""

import sys
from types import ModuleType

import pytest

from proxyagent.login import Identity
from proxyagent.login.custom import Custom
from proxyagent.login.identity import BackendUnusable, Unavailable

PASSWORD = "keep me out of every log"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of an operator's."""
    made = ModuleType("their_checks")

    async def check(user: str, password: str, address: str) -> Identity | None:
        return Identity(user.upper(), {"from": address}) if password == PASSWORD else None

    async def broken(user: str, password: str, address: str) -> Identity | None:
        raise ValueError(f"cannot check {password}")

    async def confused(user: str, password: str, address: str) -> bool:
        return True

    def blocking(user: str, password: str, address: str) -> None:
        return None

    for each in (check, broken, confused, blocking):
        setattr(made, each.__name__, each)
    monkeypatch.setitem(sys.modules, "their_checks", made)
    return made


async def test_it_is_asked_and_believed(module: ModuleType) -> None:
    """With user, password and address; what it returns is who it is."""
    found = Custom("their_checks", "check")
    assert await found.check("alice", PASSWORD, "10.0.0.1") == Identity("ALICE", {"from": "10.0.0.1"})
    assert await found.check("alice", "wrong", "10.0.0.1") is None


@pytest.mark.parametrize(("function", "told"), [("broken", "raised ValueError"), ("confused", "not bool")])
async def test_what_goes_wrong_in_it_lets_nobody_in(module: ModuleType, function: str, told: str) -> None:
    """The log learns which function it was; the password is in no word of it."""
    with pytest.raises(Unavailable, match=told) as caught:
        await Custom("their_checks", function).check("alice", PASSWORD, "")
    assert PASSWORD not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("where", "function"),
    [("their_checks", "missing"), ("their_checks", "blocking"), ("their_other_checks", "check"), ("this.is_none", "x")],
)
def test_what_cannot_be_used_is_said_at_start(module: ModuleType, where: str, function: str) -> None:
    """A module or function that is not there, or that would block the loop."""
    with pytest.raises(BackendUnusable, match=r"\[login\] backend"):
        Custom(where, function)

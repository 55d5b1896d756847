"""Hostile input: every former finding, some thousand new ones, and that a finding would be found (promise 10)."""

import random
from collections.abc import Callable

import pytest

from protocol.codec import decode
from protocol.errors import RemoteProtocolError
from tests.fuzz import campaign, corpus, inputs
from tests.fuzz.targets import Target, targets

INPUTS = 30_000

NAMES = (
    "message", "payload", "batch", "machine", "stream", "handshake", "request", "question", "operator", "cookie",
    "line", "form", "login", "page", "directory", "terminal", "paper", "htpasswd", "answer", "configuration",
    "auth_cfg", "secret", "row", "store",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_the_corpus_is_taken(name: str) -> None:
    """What broke something once, and what is known to be nasty, breaks nothing now."""
    target = targets()[name]
    for data in corpus.entries(name):
        finding = campaign.take(target, data)
        assert finding is None, str(finding)


def test_the_corpus_is_tidy() -> None:
    """Each file belongs to a target, and no input stands there twice."""
    assert {path.stem for path in corpus.FOLDER.iterdir()} <= set(NAMES) == set(targets())
    for name in NAMES:
        kept = corpus.entries(name)
        assert len(kept) == len(set(kept)), f"{name}: an input stands there twice"


@pytest.mark.slow
def test_new_inputs_are_taken() -> None:
    """The first of the million that `make fuzz` takes, in one process: nothing but documented errors, little memory."""
    result = campaign.run(1, 0, INPUTS)
    assert not result.findings, str(result.findings[0])
    assert result.taken.total() == INPUTS and set(result.taken) == set(NAMES)


def test_an_input_is_the_same_for_everybody() -> None:
    """The n-th input of a seed does not depend on those before it (promise 11)."""
    one, other = campaign.Inputs(7), campaign.Inputs(7)
    for number in (5, 3, 999_999, 3):
        (name, data), (again, same) = one.make(number), other.make(number)
        assert (name.name, data) == (again.name, same)


# -- tests of the test ---------------------------------------------------------------------------------------------


def _with(take: Callable[[bytes], None]) -> Target:
    return Target("message", 1, lambda chance: inputs.packed([1, [2, b"x"], "y"], chance), take)


def test_a_crash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An undocumented error ends the run, and is told as a line for the corpus."""

    def take(data: bytes) -> None:
        if b"\xff" in data:
            raise KeyError("planted")

    monkeypatch.setattr(campaign, "targets", lambda: {"message": _with(take)})
    (finding,) = campaign.run(1, 0, 50_000).findings
    assert "planted" in str(finding) and finding.data.hex() in str(finding)


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that never ends is ended."""

    def take(data: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr(campaign, "targets", lambda: {"message": _with(take)})
    monkeypatch.setattr(campaign, "INPUT_TIMEOUT_S", 0.05)
    (finding,) = campaign.run(1, 0, 5).findings
    assert "Hangs" in finding.text


def test_a_campaign_goes_on_where_another_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """In two halves, and by two processes, the same inputs are taken as in one piece by one."""
    taken: list[bytes] = []
    monkeypatch.setattr(campaign, "targets", lambda: {"message": _with(taken.append)})
    campaign.run_all(1, 60, 1)
    whole, taken[:] = list(taken), []
    campaign.run_all(1, 40, 1)
    campaign.run_all(1, 20, 1, first=40)
    assert taken == whole
    assert campaign.run_all(1, 20, 2, first=40).taken.total() == 20


def test_growing_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of every input shows after some thousands."""
    kept: list[bytes] = []
    monkeypatch.setattr(campaign, "targets", lambda: {"message": _with(lambda data: kept.append(bytes(1 << 14)))})
    monkeypatch.setattr(campaign, "WARM_INPUTS", 100)
    monkeypatch.setattr(campaign, "LOOK_EVERY", 100)
    monkeypatch.setattr(campaign, "GROWTH_BYTES_MAX", 16 << 20)
    with pytest.raises(AssertionError, match="grown by"):
        campaign.run(1, 0, 10_000)


def test_hostile_messages_are_right_often_enough() -> None:
    """A part gets past the first door, so that what lies behind it is met too, and a part does not."""
    chance, made = random.Random(3), targets()["message"].make
    accepted = sum(_is_message(made(chance)) for _ in range(2_000))
    assert 200 < accepted < 1_800


@pytest.mark.parametrize(
    "name",
    [
        "operator", "cookie", "line", "form", "login", "page", "directory", "terminal", "paper", "htpasswd", "answer",
        "configuration", "auth_cfg",
    ],
)  # fmt: skip
def test_hostile_inputs_are_right_often_enough(name: str) -> None:
    """The same of those that count what they let in."""
    chance, target = random.Random(3), targets()[name]
    count = 100 if target.share == 1 else 400  # a share of one is dear
    for _ in range(count):
        target.take(target.make(chance))
    assert 0.1 < target.take.accepted / count < 0.9  # type: ignore[attr-defined]


def _is_message(data: bytes) -> bool:
    try:
        decode(data)
    except RemoteProtocolError:
        return False
    return True

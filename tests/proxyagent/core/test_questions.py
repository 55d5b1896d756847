"""What a proxy has asked the master: sent once a link, answered once."""

from protocol import limits
from protocol.errors import Code
from protocol.messages import Creation, Error, Redemption, Ruling, Verdict
from proxyagent.core.questions import Questions

ASKED = Redemption(0, "image", "a", "", b"r", "", (), ())


def test_a_question_is_sent_once_on_each_link_until_it_is_answered() -> None:
    """A new link has it again, numbered as before; an answer ends it."""
    questions = Questions()
    number = questions.ask(ASKED)

    assert questions.has_unsent
    assert [message.question for message in questions.send()] == [number]  # type: ignore[attr-defined]
    assert questions.send() == [] and not questions.has_unsent
    questions.link()
    assert len(questions.send()) == 1
    questions.answered(Verdict(number, Ruling.GRANTED, b"item"))
    questions.link()
    assert questions.send() == []
    assert questions.take(number) == Verdict(number, Ruling.GRANTED, b"item")
    assert questions.take(number) is None


def test_a_creation_that_has_left_is_never_sent_to_another_master() -> None:
    """The one that is gone may have taken it in. One that has not left waits for a master as anything does."""
    questions = Questions()
    number = questions.ask(Creation(0, b"item"))
    questions.link()
    assert [message.question for message in questions.send()] == [number]  # type: ignore[attr-defined]
    questions.link()

    assert questions.take(number) == Verdict(number, Ruling.UNAVAILABLE)
    assert questions.send() == []


def test_answers_that_nobody_waits_for_are_dropped() -> None:
    """Given up, answered twice, or never asked."""
    questions = Questions()
    number = questions.ask(ASKED)
    questions.give_up(number)
    for each in (number, number, 99):
        questions.answered(Verdict(each, Ruling.REFUSED))

    assert questions.take(number) is None and questions.take(99) is None
    assert questions.send() == []


def test_a_master_that_does_not_understand_decides_nothing() -> None:
    """An agent of an earlier version says so, and every question comes to that; other complaints mean nothing."""
    questions = Questions()
    number = questions.ask(ASKED)
    questions.answered(Error(Code.PROTOCOL, "something else"))
    assert questions.take(number) is None
    questions.answered(Error(Code.UNKNOWN_MESSAGE, "message 35 is unknown to this version"))

    assert questions.take(number) == Verdict(number, Ruling.UNAVAILABLE)


def test_questions_are_bounded() -> None:
    """Beyond the bound a question is answered at once: come again."""
    questions = Questions()
    for _ in range(limits.QUESTIONS_MAX):
        questions.ask(ASKED)
    beyond = questions.ask(ASKED)

    assert questions.take(beyond) == Verdict(beyond, Ruling.UNAVAILABLE)
    assert len(questions.send()) == limits.QUESTIONS_MAX

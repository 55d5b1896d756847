"""What a helper is asked and what it answers, without any descriptor."""

from hypothesis import given
from hypothesis import strategies as st

from proxyagent.integrations.squid.questions import CHANNEL_DIGITS_MAX, LINE_BYTES_MAX, WAITING_MAX, Lines, Questions


def replies(questions: Questions) -> list[bytes]:
    """What squid is to be told, taken out."""
    told = list(questions.replies)
    questions.replies.clear()
    return told


def test_answers_find_their_channels_in_any_order() -> None:
    """Questions get numbers of their own; lines may come in pieces, and answers in another order."""
    questions = Questions("session")
    assert questions.asked(b"7 10.0.0.1 -\n0 10.0", 0.0) == b"1 session 10.0.0.1 -\n"
    assert questions.asked(b".0.2 -\n", 0.0) == b"2 session 10.0.0.2 -\n"
    questions.answered(b"2 OK user=bob\n1 E")
    questions.answered(b"RR\n")
    assert replies(questions) == [b"0 OK user=bob\n", b"7 ERR\n"]
    assert len(questions) == 0


def test_a_late_answer_meets_no_other_question_of_its_channel() -> None:
    """What was given up is answered ERR; its answer, when it comes, is nobody's, the channel being in use again."""
    questions = Questions("session")
    questions.asked(b"3 10.0.0.1 -\n", 0.0)
    questions.asked(b"4 10.0.0.2 -\n", 0.5)
    assert questions.give_up(asked_before_s=0.4) == 1
    questions.asked(b"3 10.0.0.3 -\n", 1.0)
    questions.answered(b"1 OK user=alice\n3 OK user=carol\n")
    assert replies(questions) == [b"3 ERR\n", b"3 OK user=carol\n"]
    assert questions.oldest_s == 0.5
    assert questions.again() == b"2 session 10.0.0.2 -\n"


def test_garbage_gets_no_answer_and_whatever_has_a_channel_gets_one() -> None:
    """Squid dies of an answer to a channel that it did not use, and a client hangs without one for its own."""
    questions = Questions("login")
    garbage = [b"", b" ", b"hello world", b"-1 x", b"\x00\xff\xfe", b"1x y", b"9" * (CHANNEL_DIGITS_MAX + 1) + b" x"]
    assert questions.asked(b"\n".join(garbage) + b"\n", 0.0) == b""
    assert questions.without_channel == len(garbage)
    assert replies(questions) == []
    assert questions.asked(b"5\n6 \n", 0.0) == b"1 login \n2 login \n"


def test_a_line_without_end_costs_its_own_question_and_bounded_memory() -> None:
    """A megabyte on one channel is answered ERR when it ends; the next question is asked as ever."""
    questions = Questions("session")
    asked = [questions.asked(data, 0.0) for data in (b"8 ", *[b"x" * 65_536] * 16, b"\n9 10.0.0.1\n")]
    assert b"".join(asked) == b"1 session 10.0.0.1\n"
    assert replies(questions) == [b"8 ERR\n"]
    lines = Lines()
    lines.feed(b"x" * 10 * LINE_BYTES_MAX)
    assert len(lines.feed(b"\n")[0]) == LINE_BYTES_MAX + 1


def test_beyond_the_bound_questions_are_answered_at_once() -> None:
    """What squid asks beyond WAITING_MAX is ERR and is not kept."""
    questions = Questions("session")
    questions.asked(b"1 a\n" * WAITING_MAX, 0.0)
    assert questions.asked(b"2 a\n", 0.0) == b""
    assert replies(questions) == [b"2 ERR\n"]


def test_a_daemon_that_speaks_nonsense_is_not_passed_on() -> None:
    """Numbers that nobody asked, words that are no answer, lines without sense: squid hears of ERR at most."""
    questions = Questions("session")
    questions.asked(b"1 a\n2 b\n", 0.0)
    questions.answered(b"99 OK user=x\nhello\n\n" + b"9" * 5_000 + b" OK\n1 rm -rf\n-1 OK\n2 OK\n")
    assert replies(questions) == [b"1 ERR\n", b"2 OK\n"]


LINES = st.lists(st.one_of(st.binary(max_size=30), st.from_regex(rb"[0-9]{1,12} [a-z. \xff%-]{0,20}", fullmatch=True)))


@given(LINES, LINES, st.integers(1, 7))
def test_whatever_comes_squid_hears_of_its_own_channels_only(said: list[bytes], told: list[bytes], cut: int) -> None:
    """Each line with a channel is answered exactly once, whatever the daemon says, in pieces of any length."""
    questions = Questions("session")
    stream = b"".join(line.replace(b"\n", b"") + b"\n" for line in said)
    wanted = sorted(line.split(b" ")[0] for line in stream.split(b"\n")[:-1])
    wanted = [each for each in wanted if each.isdigit() and len(each) <= CHANNEL_DIGITS_MAX]
    for start in range(0, len(stream), cut):
        questions.asked(stream[start : start + cut], 0.0)
    questions.answered(b"\n".join(told) + b"\n")
    questions.give_up(asked_before_s=1.0)
    answers = [line.split(b" ", 1) for line in questions.replies]
    assert sorted(channel for channel, _ in answers) == wanted
    assert all(answer.startswith((b"OK", b"ERR")) and answer.count(b"\n") == 1 for _, answer in answers)

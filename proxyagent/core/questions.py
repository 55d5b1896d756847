"""What this proxy has asked the master to decide, and what was answered.

Rules of this file:

- A redemption is sent again on every new link until it is answered or given up; the request in it makes the repetition
  harmless.
- A creation that has left is not sent again: the master that is gone may have taken the item in, and another one would
  stamp it anew, with witnesses of its own. It comes to "not now", and whoever asks draws another item.
- Answers to questions that nobody waits for any more are dropped.
"""

from typing import TypeAlias

import attrs

from protocol import limits
from protocol.errors import Code
from protocol.messages import Creation, Error, Message, Redemption, Ruling, Verdict

Question: TypeAlias = Creation | Redemption


class Questions:
    """The questions of one proxy, by number."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._answers: dict[int, Verdict] = {}
        self._unsent: list[int] = []
        self._last = 0

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def ask(self, question: Question) -> int:
        """Have a question sent; returns its number. Beyond the bound it is answered at once: come again."""
        self._last += 1
        if len(self._open) >= limits.QUESTIONS_MAX:
            self._answers[self._last] = Verdict(self._last, Ruling.UNAVAILABLE)
            return self._last
        self._open[self._last] = attrs.evolve(question, question=self._last)
        self._unsent.append(self._last)
        return self._last

    def take(self, number: int) -> Verdict | None:
        """The answer, once; None while there is none."""
        return self._answers.pop(number, None)

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._open.pop(number, None)
        self._answers.pop(number, None)

    # -- the link ---------------------------------------------------------------------------------------------------

    def link(self) -> None:
        """A new link to a master: everything that is open is to be asked again, but for creations that have left."""
        for number, question in list(self._open.items()):
            if isinstance(question, Creation) and number not in self._unsent:
                self.answered(Verdict(number, Ruling.UNAVAILABLE))
        self._unsent = list(self._open)

    def send(self) -> list[Message]:
        """What may leave now."""
        unsent, self._unsent = self._unsent, []
        return [self._open[number] for number in unsent if number in self._open]

    def answered(self, word: Verdict | Error) -> None:
        """The master's word. One of a version that decides nothing says so, and every question comes to that."""
        if isinstance(word, Verdict):
            if self._open.pop(word.question, None) is not None:
                self._answers[word.question] = word
        elif word.code == Code.UNKNOWN_MESSAGE:
            for number in list(self._open):
                self.answered(Verdict(number, Ruling.UNAVAILABLE))

"""`proxyagent squid-session` and `proxyagent squid-login`: processes that squid starts and asks, many things at a time.

Rules of this file:

- The standard library alone, and little of it: a helper starts in under 150 ms.
- Standard output is squid's: one write for all answers that are ready, and nothing else ever. Descriptor 1 is put out
  of the reach of whatever might print.
- A helper ends after squid has closed its input or its output, and at nothing else: squid gives up when helpers die.
- While the daemon is gone squid gets ERR. For DEADLINE_S it is waited for, so that nobody notices a reload; after that
  nobody waits.
"""

import os
import select
import time
from collections.abc import Mapping
from typing import Any

from protocol.places import squid_socket
from proxyagent.integrations.squid.questions import DEADLINE_S, Questions
from proxyagent.integrations.squid.upstream import READ_BYTES, RETRY_S, Find, Upstream, say
from proxyagent.verbs import control_path


def run(verb: str, options: Mapping[str, Any]) -> int:
    """Serve squid until it closes our input; `verb` is "session" or "login", `options` are the shared ones."""
    return Helper(verb, lambda: squid_socket(control_path(options)), squid=0, answers=_own_output()).serve()


def _own_output() -> int:
    """Standard output under a number that nobody prints to; what is printed goes to standard error."""
    own = os.dup(1)
    os.set_blocking(own, True)  # it waits for squid, and does not take its not reading for its end
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
    return own


class Helper:
    """Reads questions from the descriptor `squid`, writes answers to `answers`."""

    def __init__(self, verb: str, find: Find, *, squid: int, answers: int) -> None:
        self._questions = Questions(verb)
        self._upstream = Upstream(find, _now_s())
        self._squid = squid
        self._answers = answers
        self._open = True
        self._warned = False

    def serve(self) -> int:
        """Until squid is gone and nothing waits. Returns the exit code."""
        try:
            while self._open or len(self._questions):
                if not self._turn():
                    break
        finally:
            self._upstream.drop(_now_s())
        return 0

    def _turn(self) -> bool:
        """Wait, and do what there is to do; False when squid takes no answers any more."""
        readable = self._wait()
        now_s = _now_s()
        if self._upstream.fileno() in readable:
            self._questions.answered(self._upstream.receive(now_s))
        if self._squid in readable:
            self._read(now_s)
        self._keep_upstream(now_s)
        return self._write()

    def _wait(self) -> list[int]:
        """Until squid asks, the daemon answers, or it is time to try again or to give up; what can be read."""
        squid = [self._squid] if self._open else []
        upstream = [self._upstream.fileno()] if self._upstream.connected else []
        readable, _, _ = select.select(
            squid + upstream, upstream if self._upstream.has_unsent else [], [], self._patience_s()
        )
        return readable

    def _patience_s(self) -> float | None:
        oldest_s = self._questions.oldest_s
        if oldest_s is None:
            return None
        return max(0.001, oldest_s + DEADLINE_S - _now_s()) if self._upstream.connected else RETRY_S

    def _read(self, now_s: float) -> None:
        try:
            data = os.read(self._squid, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._open = bool(data)
        self._upstream.send(self._questions.asked(data, now_s), now_s)
        if self._questions.without_channel and not self._warned:
            self._warned = True
            say("squid asks without a channel: set concurrency= on external_acl_type; such questions get no answer")

    def _keep_upstream(self, now_s: float) -> None:
        """Send, connect, give up, as it is time."""
        if self._upstream.has_unsent:
            self._upstream.flush(now_s)
        if self._questions.give_up(asked_before_s=now_s - DEADLINE_S):
            self._upstream.drop_if_silent(now_s)
        if len(self._questions) and self._upstream.reach(now_s):
            self._upstream.send(self._questions.again(), now_s)
        if not self._upstream.connected and now_s >= self._upstream.gone_since_s + DEADLINE_S:
            self._questions.give_up(asked_before_s=now_s)

    def _write(self) -> bool:
        """All answers that are ready, in one write; False when squid takes none any more."""
        data = b"".join(self._questions.replies)
        self._questions.replies.clear()
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except OSError:
            return False
        return True


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 - a process of its own, which has one sense of time

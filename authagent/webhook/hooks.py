"""All receivers of one agent: who is told what, as the configuration has it.

Rules of this file:

- What happens to sessions is told by the master only: its slave hears of the same. Right after a failover something
  may be told twice, or by neither; `login_id` tells the former apart.
- Roles and problems are told by each agent of itself.
- A reload keeps what has not changed, its queue included.
- Nothing here waits. Without the extra `http` nothing is sent, which is one alarm and a problem in `status`.
"""

import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio

from authagent.admin.problems import Problem
from authagent.receivers import Receiver
from authagent.webhook import told
from authagent.webhook.queue import Queue
from authagent.webhook.sender import Post, Sender, Sources
from authagent.webhook.told import Batch
from protocol.changes import Changes
from protocol.messages import Role
from protocol.session import Record

SESSION_EVENTS = ("session.opened", "session.ended", "user.logged_out")


class Hooks:
    """Tells the receivers. Made once; `configure` says who they are, `run` sends."""

    def __init__(self, sources: Sources, role: Callable[[], Role]) -> None:
        self._sources = sources
        self._role = role
        self._senders: dict[Receiver, Sender] = {}
        self._errors: dict[Receiver, str] = {}
        self._scopes: dict[Receiver, trio.CancelScope] = {}
        self._for_sessions: tuple[Sender, ...] = ()
        self._seen: dict[tuple[str, str], Problem] = {}
        self._changed = trio.Event()

    @property
    def senders(self) -> Sequence[Sender]:
        """One for each receiver, in the order of the file."""
        return tuple(self._senders.values())

    @property
    def doubts(self) -> dict[str, str]:
        """What `status` should say, by receiver."""
        doubts = {sender.name: self._errors.get(each, sender.doubtful) for each, sender in self._senders.items()}
        return {name: text for name, text in doubts.items() if text}

    def configure(self, receivers: tuple[Receiver, ...]) -> None:
        """From now on these are told: at start, and after a reload."""
        old = self._senders
        self._senders = {each: old.get(each) or self._made(each) for each in receivers}
        self._for_sessions = tuple(
            sender for sender in self.senders if any(map(sender.queue.wants, SESSION_EVENTS))
        )
        self._changed.set()

    def _made(self, receiver: Receiver) -> Sender:
        return Sender(receiver.url, receiver.secrets, Queue(receiver.events), self._sources)

    async def run(self) -> None:
        """Send until cancelled. Raises nothing."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                for gone in self._scopes.keys() - self._senders.keys():
                    self._scopes.pop(gone).cancel()
                    self._errors.pop(gone, None)
                for new in self._senders.keys() - self._scopes.keys():
                    self._scopes[new] = trio.CancelScope()
                    nursery.start_soon(self._send, new, self._senders[new], self._scopes[new])
                await self._changed.wait()

    async def _send(self, receiver: Receiver, sender: Sender, scope: trio.CancelScope) -> None:
        with scope:
            post = await self._post(receiver)
            if post is not None:
                await sender.run(post)

    async def _post(self, receiver: Receiver) -> Post | None:
        """What sends to this receiver; None, and an error for `status`, when nothing can."""
        try:
            from protocol.io.http.post import Target, post  # late: it needs the extra `http`

            tls = await trio.to_thread.run_sync(partial(ssl.create_default_context, cadata=receiver.authority or None))
        except ModuleNotFoundError as error:
            reason = f'[[webhook]] needs {error.name}, which is not installed: pip install "one-login[http]"'
        except ssl.SSLError as error:
            reason = f"[[webhook]] authority: {error.reason or error}"
        else:
            return partial(post, Target(receiver.url, tls))
        self._errors[receiver] = reason
        self._sources.log.alarm("webhook.unusable", error=reason)
        return None

    # -- what happens ---------------------------------------------------------------------------------------------

    def changes(self, source: str, changes: Changes) -> None:
        """A batch that was news. On the hot path: costs the same whatever is in it."""
        if self._for_sessions and self._role() == Role.MASTER:
            self._put_batch(Batch(source, changes, self._sources.wall_ms()))

    def _put_batch(self, batch: Batch) -> None:
        if batch.size:
            for sender in self._for_sessions:
                sender.put(batch)

    def timed_out(self, records: Iterable[Record]) -> None:
        """Sessions that have gone idle or come to the end of their lifetime."""
        if self._for_sessions and self._role() == Role.MASTER:
            at_ms = self._sources.wall_ms()
            for record in records:
                for sender in self._for_sessions:
                    sender.put(told.timed_out(record, at_ms))

    def role(self, role: Role, term: int) -> None:
        """A role was decided."""
        self._tell(told.role(role.name.lower(), term, self._sources.wall_ms()))

    def problems(self, found: Iterable[Problem]) -> None:
        """What is wrong now; told is what has begun or ended since the last call."""
        if not self._senders:
            self._seen = {}
            return
        now = {(each.code, each.about): each for each in found}
        at_ms = self._sources.wall_ms()
        for verb, these, those in (("ended", self._seen, now), ("began", now, self._seen)):
            for key in these.keys() - those.keys():
                problem = these[key]
                self._tell(told.problem(verb, problem.code, problem.about, problem.text, at_ms))
        self._seen = now

    def _tell(self, event: told.Event) -> None:
        for sender in self.senders:
            sender.put(event)

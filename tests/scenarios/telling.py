"""How commands and messages are printed in a transcript: one line each, everything in it that matters, no chance.

Log ids are random bits: they are told as L1, L2 in the order in which they are met. Of heartbeats only what is new is
told: another role, term or doubt than the last one on that link.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from authagent.core import commands as agent_commands
from protocol import codec, framing, messages
from protocol.changes import Changes, EndRun, LoginRun
from protocol.item import Fate, Item
from protocol.messages import Message, Role, Ruling
from protocol.session import State
from proxyagent import notices
from proxyagent.core import commands as proxy_commands

if TYPE_CHECKING:
    from tests.scenarios.world import Process, World

SHOWN_CHANGES = 4

ITEM_REQUESTS = 1_000_000
"""Questions about items that an agent's control socket is asked are numbered from here on (agents.py)."""


class Teller:
    """Prints what one process does."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._heartbeats: dict[int, tuple[object, ...]] = {}

    def command(self, process: "Process", command: agent_commands.Command | proxy_commands.Command) -> None:
        """Print a command of a machine, unless nobody listens."""
        if self.world.loud:
            text = self._agent(process, command) or self._proxy(process, command)
            if text:
                self.world.say(process.name, text)

    def _agent(self, process: "Process", command: object) -> str:
        match command:
            case agent_commands.Dial():
                return "dials"
            case agent_commands.Send(links, message):
                return self._sent(links, self._message(message, links), process)
            case agent_commands.Relay(links, frames):
                relayed = [codec.decode(body) for body in framing.FrameReader(1 << 24).feed(frames)]
                return self._sent(links, ", ".join(self._message(message, links) for message in relayed), process)
            case agent_commands.Close(link, code, text, elsewhere):
                where = f" -> a{elsewhere}" if elsewhere else ""
                return f"closes {self._names((link,), process)}: {code.name}{where} ({text})"
            case agent_commands.Persist(position):
                return f"persists {position}"
            case agent_commands.PersistTerm(term):
                return f"persists term {term}"
            case agent_commands.AnnounceRole(role, term):
                return f"is {role.name} of term {term}"
            case agent_commands.Answer(request=request, ruling=ruling) if ruling:
                return f"answers {request - ITEM_REQUESTS}: {Ruling(ruling).name}"
            case agent_commands.Answer(request, body, ended, _, error):
                return f"answers {request}: {error or body.decode() or f'{ended} ended'}"
            case agent_commands.CarryOut(_, request):
                return f"carries out {request}"
            case agent_commands.Exit():
                return "exits"
            case agent_commands.Log(event, grade, keys):
                shown = {name: value for name, value in keys.items() if name not in ("address", "version")}
                told = "".join(f" {name}={value!r}" for name, value in shown.items())
                return f"log {'' if grade == 'info' else grade.upper() + ' '}{event}{told}"
        return ""

    def _proxy(self, process: "Process", command: object) -> str:
        match command:
            case proxy_commands.Dial(agent):
                return f"dials a{agent + 1}"
            case proxy_commands.Send(link, message):
                return self._sent((link,), self._message(message, (link,)), process)
            case proxy_commands.Close(link, code, text):
                return f"closes {self._names((link,), process)}: {code.name} ({text})"
            case proxy_commands.Notify(notice):
                return self._notice(notice)
        return ""

    @staticmethod
    def _notice(notice: notices.Notice) -> str:
        match notice:
            case notices.AgentFound(agent):
                return f"notes: agent {agent} serves"
            case notices.AgentLost(agent, reason):
                return f"notes: agent {agent} lost ({reason})"
            case notices.AgentRefused(agent, reason):
                return f"notes: agent {agent} refuses ({reason})"
            case notices.Resynced(sent, received):
                return f"notes: resynced, {sent} sent, {received} received"
            case notices.SessionOpened(session):
                return f"notes: {session.user}@{session.key} logged in"
            case notices.SessionEnded(session, reason):
                return f"notes: {session.user}@{session.key} ended, {reason}"
        return f"notes: {notice!r}"

    # -- messages -------------------------------------------------------------------------------------------------

    def _sent(self, links: Iterable[int], text: str, process: "Process") -> str:
        names = self._names(links, process) if text else ""
        return f"-> {names}: {text}" if names else ""

    def _names(self, links: Iterable[int], process: "Process") -> str:
        return " ".join(self.world.peer_name(link, process) for link in links)

    def _message(self, message: Message, links: Iterable[int]) -> str:
        name = type(message).__name__
        match message:
            case messages.Heartbeat():
                return self._heartbeat(message, links)
            case messages.Report(number, payload):
                return f"Report {number} {payload_text(payload)}"
            case messages.Update(sequence, _, payload):
                return f"Update {sequence} {payload_text(payload)}"
            case messages.Acknowledgement(master, site, counted):
                return f"Acknowledgement master {master}, site {site} by {' '.join(counted)}"
            case messages.Stored(log_id, sequence) | messages.Follow(log_id, sequence):
                return f"{name} {self._log(log_id)}/{sequence}"
            case messages.Following(log_id, sequence, replay):
                return f"Following {self._log(log_id)}/{sequence} {'replay' if replay else 'compare'}"
            case messages.Bulk(comparison, payload):
                return f"Bulk[{comparison}] {payload_text(payload)}"
            case messages.Compare():
                return f"Compare[{message.comparison}] {message.records} records{' forced' * message.forced}"
            case messages.Compared():
                told = "" if message.comparable else ", not comparable"
                return f"Compared[{message.comparison}] {message.sent} sent{told}"
            case messages.Creation(question, payload):
                return f"Creation {question} {payload_text(payload)}"
            case messages.Redemption(question, kind, item, _, request):
                return f"Redemption {question} of {kind}/{item} by {request.decode()}"
            case messages.Verdict(question, ruling):
                return f"Verdict {question} {Ruling(ruling).name}"
            case messages.Nodes() | messages.Pages() | messages.Want() | messages.SnapshotWait():
                return f"{name}[{message.comparison}]"
        return name

    def _heartbeat(self, message: messages.Heartbeat, links: Iterable[int]) -> str:
        said = (message.role, message.term, message.unsure)
        news = [link for link in links if self._heartbeats.get(link) != said]
        for link in news:
            self._heartbeats[link] = said
        if not news or message.role == Role.PROXY:
            return ""
        return f"Heartbeat {Role(message.role).name} of term {message.term}{', unsure' * message.unsure}"

    def _log(self, log_id: int) -> str:
        if not log_id:
            return "nothing"
        return self.world.log_names.setdefault(log_id, f"L{len(self.world.log_names) + 1}")


def payload_text(payload: bytes) -> str:
    """Encoded changes in few words."""
    return changes_text(codec.decode_changes(payload)) if payload else "(empty)"


def changes_text(changes: Changes) -> str:
    """+ logins, - ends, ~ touches, ! barriers, # marks, = items."""
    words = [word for run in changes.logins for word in _logins(run)]
    words += [word for end in changes.ends for word in _ends(end)]
    words += [f"~{len(run.sequences)}" for run in changes.touches]
    words += [f"!{barrier.user}" for barrier in changes.barriers]
    words += [f"#{mark.key}" for mark in changes.marks]
    words += [f"={item.kind}/{item.id}{_fate(item)}" for item in changes.items]
    more = f" and {len(words) - SHOWN_CHANGES} more" if len(words) > SHOWN_CHANGES else ""
    return f"({' '.join(words[:SHOWN_CHANGES])}{more})"


def _fate(item: Item) -> str:
    """What became of an item, where anything did."""
    claims = [f":{claim.request.decode()}{'!' if claim.final else '?'}" for claim in item.claims]
    fate = "" if item.fate == Fate.OPEN else f":{item.fate.name.lower()}"
    return fate + "".join(claims)


def _logins(run: LoginRun) -> Iterable[str]:
    states = run.states or bytes([State.ALIVE]) * len(run.keys)
    for key, user, state in zip(run.keys, run.users, states, strict=True):
        yield f"+{user}@{key}" if state == State.ALIVE else f"-{user}@{key}:{State(state).name.lower()}"


def _ends(run: EndRun) -> Iterable[str]:
    for key, user, state in zip(run.keys, run.users, run.states, strict=True):
        yield f"-{user}@{key}:{State(state).name.lower()}"

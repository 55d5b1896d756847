"""Service: reports in, acknowledgements back, operators' logouts."""

from authagent.core import events as on
from authagent.core.commands import Answer, Command, Persist, Send
from authagent.core.outgoing import Outgoing
from authagent.core.peer import Peer, Peers
from authagent.core.replication import Replication
from authagent.core.service import Service
from protocol import codec
from protocol.messages import Acknowledgement, AdminRequest, Report, Role, Stored, Update
from protocol.session import LoginId, State
from tests.authagent.core.machine import NOW_MS, ORIGIN, PAIRED, logins, make_peer, make_table, payload, sent


class Room:
    """A master's service with a proxy on link 1, and a slave on link 9 once `join` was called."""

    def __init__(self) -> None:
        table = make_table()
        self.peers = Peers()
        self.replication = Replication(table, Outgoing("lan1"))
        self.replication.lead_off(77)
        self.service = Service(PAIRED, table, self.peers, self.replication)
        self.proxy = self.enter(make_peer(1))
        self.slave = make_peer(9, "2", "agent")

    def enter(self, peer: Peer) -> Peer:
        self.peers.enter(peer)
        self.replication.follow(peer.link)
        return peer

    def join(self, stored: int = 0) -> None:
        self.enter(self.slave)
        self.service.stored(self.slave, Stored(77, stored))

    def report(self, number: int, key: str, peer: Peer | None = None) -> list[Command]:
        return self.service.report(peer or self.proxy, Report(number, payload(key, first=number)), NOW_MS)

    def told(self, link: int = 1) -> list[Acknowledgement]:
        return sent(self.service.acknowledge(), Acknowledgement, link)


def test_a_report_is_acknowledged_in_two_steps() -> None:
    """In memory at once, at level site when the own store has it; then nothing more is owed."""
    room = Room()
    room.report(1, "10.0.0.1")
    assert room.told() == [Acknowledgement(1, 0, ("1",))]
    assert room.told() == []

    room.replication.stored = 1
    assert room.told() == [Acknowledgement(1, 1, ("1",))]
    room.replication.stored = 2
    assert room.told() == []


def test_a_slave_that_counts_is_waited_for_and_named() -> None:
    """Level site needs both stores."""
    room = Room()
    room.join()
    room.report(1, "10.0.0.1")
    room.replication.stored = 1
    assert room.told() == [Acknowledgement(1, 0, ("1", "2"))]

    room.service.stored(room.slave, Stored(77, 1))
    assert room.told() == [Acknowledgement(1, 1, ("1", "2"))]


def test_a_slave_that_counts_late_is_not_named_for_what_was_acknowledged_before() -> None:
    """[P-24] A report was acknowledged without it; that the next one is in memory does not change this."""
    room = Room()
    room.enter(room.slave)
    room.report(1, "10.0.0.1")
    room.replication.stored = 1
    assert room.told() == [Acknowledgement(1, 1, ("1",))]

    room.service.stored(room.slave, Stored(77, 0))
    room.report(2, "10.0.0.2")
    assert room.told() == [Acknowledgement(2, 1, ("1",))]
    room.replication.stored = 2
    room.service.stored(room.slave, Stored(77, 2))
    assert room.told() == [Acknowledgement(2, 2, ("1", "2"))]


def test_a_slave_counts_from_its_first_word_until_it_leaves() -> None:
    """Following is not enough; and when it leaves, what waited for it waits no longer."""
    room = Room()
    room.enter(room.slave)
    assert room.service.slave is None
    room.service.stored(room.slave, Stored(77, 0))
    assert room.service.slave is room.slave

    room.report(1, "10.0.0.1")
    room.replication.stored = 1
    room.told()
    room.peers.leave(room.slave)
    room.replication.leave(9)
    assert room.told() == [Acknowledgement(1, 1, ("1",))]


def test_what_is_stored_of_another_log_does_not_count() -> None:
    """A slave's word about the last mastership, and a proxy's word, are passed over."""
    room = Room()
    room.enter(room.slave)
    room.service.stored(room.slave, Stored(76, 99))
    room.service.stored(room.proxy, Stored(77, 99))

    assert room.service.slave is None


def test_a_slaves_own_words_are_its_own_to_store() -> None:
    """It never gets them back, so its Stored cannot cover them: a fence would wait for the next heartbeat."""
    room = Room()
    room.join()
    room.report(1, "10.0.0.1", room.slave)
    room.replication.stored = 1

    assert room.told(9) == [Acknowledgement(1, 1, ("1", "2"))]


def test_an_empty_report_is_a_fence() -> None:
    """It is acknowledged at level site behind everything before it, and changes nothing."""
    room = Room()
    room.report(1, "10.0.0.1")
    assert room.service.report(room.proxy, Report(2, b""), NOW_MS) == []
    assert room.told() == [Acknowledgement(2, 0, ("1",))]

    room.replication.stored = 1
    assert room.told() == [Acknowledgement(2, 2, ("1",))]


def test_fences_are_numbered_on_each_link() -> None:
    """The number that is waited for is that of the report sent."""
    room = Room()
    commands, number = room.service.fence(9)

    assert commands == [Send((9,), Report(1, b""))] and number == 1
    assert room.service.fence(9)[1] == 2


def test_nothing_is_owed_to_whoever_left() -> None:
    """A link that is gone gets no acknowledgement, nor does its successor for it."""
    room = Room()
    room.report(1, "10.0.0.1")
    room.peers.leave(room.proxy)
    room.enter(make_peer(2))
    room.replication.stored = 1

    assert room.service.acknowledge() == []


def test_an_update_moves_the_cursor_of_whom_we_follow() -> None:
    """An entry of the lead's log is merged and persisted, and counts as heard."""
    room = Room()
    room.replication.resign()
    room.replication.attach(9)
    room.replication.begin(55, 10)
    commands = room.service.update(room.slave, Update(11, "lan1", payload("10.0.0.1")), NOW_MS)

    assert any(isinstance(command, Persist) for command in commands)
    assert room.replication.cursor == (55, 11)


def test_what_is_stored_is_told_to_the_lead() -> None:
    """Nobody is told where nobody leads."""
    room = Room()
    assert room.service.answer_stored() == []
    room.replication.attach(9)
    room.replication.begin(55, 10)
    room.replication.completed()

    assert room.service.answer_stored() == [Send((9,), Stored(55, 10))]


def test_an_operator_ends_a_key_a_user_or_some_keys() -> None:
    """Each form ends what it names, as administrator, and counts it."""
    for event, ended in (
        (on.LogoutAsked(1, key="10.0.0.1"), {1}),
        (on.LogoutAsked(1, user="bob"), {2}),
        (on.LogoutAsked(1, keys=("10.0.0.3", "10.9.9.9")), {3}),
        (on.LogoutAsked(1, keys=("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1")), {1, 2, 3}),
    ):
        room = Room()
        for number, user, site in ((1, "alice", "lan1"), (2, "bob", "lan1"), (3, "carol", "lan2")):
            changes = logins(f"10.0.0.{number}", first=number, user=user, site=site)
            room.service.take(room.proxy, changes, codec.encode_changes(changes), NOW_MS, "Report")
        commands = room.service.logout(event, Role.MASTER, NOW_MS + 1)

        states = {number: room.replication.table.record(LoginId(*ORIGIN, number)) for number in (1, 2, 3)}
        assert {number for number, record in states.items() if record and record.state == State.ADMINISTRATOR} == ended
        (answer,) = [command for command in commands if isinstance(command, Answer)]
        assert (answer.ended, answer.sequence, answer.error) == (len(ended), room.replication.log.sequence, "")


def test_only_a_master_logs_out_for_an_operator() -> None:
    """Whoever is not answers that, and changes nothing."""
    (answer,) = Room().service.logout(on.LogoutAsked(4, key="10.0.0.1"), Role.SLAVE, NOW_MS)

    assert isinstance(answer, Answer) and answer.request == 4 and "not master" in answer.error


def test_a_verb_is_handed_to_the_other_agent() -> None:
    """Where it is not linked, the answer says so at once."""
    room = Room()
    room.join()
    assert room.service.ask_partner(on.AdminAsked(5, b"body")) == [Send((9,), AdminRequest(5, b"body"))]

    room.peers.leave(room.slave)
    (answer,) = room.service.ask_partner(on.AdminAsked(5, b"body"))
    assert isinstance(answer, Answer) and "no master" in answer.error

"""Sections 6 to 8 of docs/reference/protocol.md: payloads, records, the digest."""

from hashlib import blake2b

import attrs
import msgpack
import pytest

from protocol import acts, codec, limits
from protocol.changes import Barrier, Changes, EndRun, Mark, TouchRun
from protocol.errors import RemoteProtocolError
from protocol.messages import Role, Update
from protocol.session import LoginId, Origin, State
from protocol.table import Table
from tests.spec.speakers import DIGEST_KEY, NOW_MS, LoneAgent, heartbeat, logins, now

ORIGIN = Origin("proxy1", 1)
OFFSET_MS = limits.MAX_CLOCK_OFFSET_MS
HOUR_MS = 3_600_000


def _table(*changes: Changes, at_ms: int = NOW_MS) -> Table:
    table = Table(digest_key=DIGEST_KEY)
    for each in changes:
        table.merge(each, at_ms)
    return table


def _end(key: str, *, sequence: int = 0, state: State = State.LOGGED_OUT, login_at: int = NOW_MS) -> Changes:
    run = EndRun(ORIGIN, [sequence], bytes([state]), [key], ["alice"], [login_at + HOUR_MS])
    return Changes(ends=(run,))


# -- payloads ------------------------------------------------------------------------------------------------------


def test_a_payload_has_the_layout_of_the_document() -> None:
    """[P-31] A plain msgpack decoder finds runs and columns where the document says, in both directions."""
    changes = attrs.evolve(
        logins("10.0.0.1", "10.0.0.2"),
        ends=_end("10.0.0.9", sequence=7).ends,
        touches=(TouchRun(ORIGIN, [1, 300], [NOW_MS, NOW_MS + 256]),),
        barriers=(Barrier("bob", NOW_MS),),
        marks=(Mark("10.0.0.7", NOW_MS), Mark("10.0.0.8", NOW_MS)),
    )
    written = [
        [["proxy1", 1, [0, 2], "lan1", "10.0.0.1\0" + "10.0.0.2", ["alice"], NOW_MS, HOUR_MS, 1_800, [[b""], b""]]],
        [["proxy1", 1, [7, 1], 3, "10.0.0.9", "alice", NOW_MS + HOUR_MS]],
        [["proxy1", 1, [1, 2, b"\x00\x00\x2b\x01"], [NOW_MS, b"\x00\x00\x00\x01"]]],
        ["bob", NOW_MS],
        ["10.0.0.7\0" + "10.0.0.8", NOW_MS],
    ]

    assert msgpack.unpackb(codec.encode_changes(changes)) == written
    assert codec.encode_changes(codec.decode_changes(msgpack.packb(written))) == codec.encode_changes(changes)


def test_what_is_claimed_is_counted_first() -> None:
    """[P-32] A few bytes that claim 4,097 touches are refused; 4,096 are taken."""
    few = msgpack.packb([[], [], [["proxy1", 1, [0, 4_096], NOW_MS]]])
    many = msgpack.packb([[], [], [["proxy1", 1, [0, 1_000_000_000], NOW_MS]]])

    assert len(codec.decode_changes(few)) == 4_096
    with pytest.raises(RemoteProtocolError):
        codec.decode_changes(many)


@pytest.mark.parametrize("keys", ["", "10.0.0.1\0", "x" * 257, "é" * 129])
def test_keys_are_neither_empty_nor_long(keys: str) -> None:
    """[P-33] An empty key, one NUL too many, and more than 256 bytes are refused."""
    row = ["proxy1", 1, [0, 1], "lan1", keys, "alice", NOW_MS, HOUR_MS, 1_800, [[b""], b""]]

    with pytest.raises(RemoteProtocolError):
        codec.decode_changes(msgpack.packb([[row]]))


@pytest.mark.parametrize(
    "pairs", [[], ["name"], ["b", "1", "a", "2"], ["a", "1", "a", "2"], ["", "1"], ["a", 1], ["a", "x" * 4_096]]
)
def test_attributes_are_sorted_pairs(pairs: list[object]) -> None:
    """[P-34] No pair, half a pair, wrong order, a name twice or empty, a number, and too many bytes are refused."""
    packed = msgpack.packb(pairs)
    row = ["proxy1", 1, [0, 1], "lan1", "k", "alice", NOW_MS, HOUR_MS, 1_800, [[packed], b""]]

    with pytest.raises(RemoteProtocolError):
        codec.decode_changes(msgpack.packb([[row]]))


@pytest.mark.parametrize(("lifetime_ms", "idle_s"), [(0, 1_800), (7 * 24 * HOUR_MS + 1, 1_800), (HOUR_MS, 59)])
def test_lifetimes_and_idle_times_have_bounds(lifetime_ms: int, idle_s: int) -> None:
    """[P-35] No lifetime of nothing or over a week, and no idle time under a minute."""
    row = ["proxy1", 1, [0, 1], "lan1", "k", "alice", NOW_MS, lifetime_ms, idle_s, [[b""], b""]]

    with pytest.raises(RemoteProtocolError):
        codec.decode_changes(msgpack.packb([[row]]))


# -- records -------------------------------------------------------------------------------------------------------


def test_merging_is_the_maximum_and_conflicts_are_equal_everywhere() -> None:
    """[P-36] State and activity take the greater; two contents of one login id end as CONFLICT, in any order."""
    first, second = logins("10.0.0.1"), logins("10.0.0.2")
    touched = Changes(touches=(TouchRun(ORIGIN, [0], [NOW_MS + 9]),))
    ended = _end("10.0.0.1", state=State.ADMINISTRATOR)
    plain = _table(first, touched, ended, _end("10.0.0.1")).record(LoginId("proxy1", 1, 0))
    here, there = (_table(*order).record(LoginId("proxy1", 1, 0)) for order in ((first, second), (second, first)))

    assert plain is not None
    assert (plain.state, plain.active_at) == (State.ADMINISTRATOR, NOW_MS + 9)
    assert here == there
    assert here is not None
    assert (here.state, here.login.key) == (State.CONFLICT, "10.0.0.1")


def test_an_end_needs_no_login() -> None:
    """[P-37] An end that overtakes its login is kept, and the login that comes later is out."""
    table = _table(_end("10.0.0.1"))

    assert table.ended == 1
    table.merge(logins("10.0.0.1"), NOW_MS)
    assert table.view("10.0.0.1", NOW_MS) is None
    assert table.ended == table.records == 1


def test_records_are_kept_and_refused_by_one_bound() -> None:
    """[P-38] A record is here until three minutes and twice the clock offset after its expiry, then it is refused."""
    end_ms = NOW_MS + HOUR_MS + 2 * OFFSET_MS + limits.EXPIRED_KEPT_MS
    table = _table(logins("10.0.0.1"), _end("10.0.0.1"))
    table.sweep(end_ms - 1, 1_000)
    assert table.records == 1
    assert _table(logins("10.0.0.1"), at_ms=end_ms - 1).records == 1

    late = _table(logins("10.0.0.1"), at_ms=end_ms)
    assert (late.records, late.counts.refused_expired) == (0, 1)


def test_stamps_far_ahead_are_refused() -> None:
    """[P-39] A login stamped a millisecond more than twice the clock offset ahead is refused, its neighbour is not."""
    table = _table(logins("10.0.0.1", at_ms=NOW_MS + 2 * OFFSET_MS + 1), logins("10.0.0.2", first=1))

    assert (table.records, table.counts.refused_ahead) == (1, 1)


def test_a_slave_that_has_not_measured_refuses_nothing_of_its_master() -> None:
    """[P-39] What its master sends is taken in however far ahead it is stamped; a trip later that is refused."""
    slave = LoneAgent(partner=2)
    slave.open(1, "2", "agent")
    slave.hear(1, heartbeat(Role.MASTER, term=1, log_id=7))
    slave.hear(1, Update(1, "lan1", codec.encode_changes(logins("10.0.0.1", at_ms=NOW_MS + 3_600_000))))
    assert slave.table.records == 1
    slave.hear(1, heartbeat(Role.MASTER, term=1, log_id=7, cluster_ms=NOW_MS, echo_ms=now(slave.at_s).boot_ms))
    slave.wait(0.3)
    slave.hear(1, Update(2, "lan1", codec.encode_changes(logins("10.0.0.2", first=1, at_ms=NOW_MS + 3_600_000))))

    assert (slave.table.records, slave.table.counts.refused_ahead) == (1, 1)


def test_a_new_login_wins_whatever_the_clocks_say() -> None:
    """[P-40] Made by a proxy whose clock is an hour behind, a login is stamped after what is held and the barrier."""
    table = _table(logins("10.0.0.1", user="bob"), Changes(barriers=(Barrier("alice", NOW_MS + 50),)))
    made = acts.login(
        table,
        "10.0.0.1",
        "alice",
        site="lan1",
        attributes=(),
        idle_timeout_s=60,
        lifetime_ms=HOUR_MS,
        login_id=LoginId("proxy2", 2, 0),
        now_ms=NOW_MS - HOUR_MS,
    )
    table.merge(made.changes, NOW_MS)

    assert made.record is not None
    assert made.record.login.login_at == NOW_MS + 51
    assert table.view("10.0.0.1", NOW_MS + 60) == made.record


def test_a_barrier_is_the_greatest_and_ends_what_is_before_it() -> None:
    """[P-41] Barriers merge as the maximum; a login at the barrier is dead, one after it lives."""
    barriers = [Changes(barriers=(Barrier("alice", NOW_MS + at),)) for at in (10, 5)]
    table = _table(*barriers, logins("10.0.0.1", at_ms=NOW_MS + 10), logins("10.0.0.2", first=1, at_ms=NOW_MS + 11))

    assert table.barrier("alice") == NOW_MS + 10
    assert table.view("10.0.0.1", NOW_MS + 20) is None
    assert table.view("10.0.0.2", NOW_MS + 20) is not None


def test_a_mark_ends_what_only_others_hold() -> None:
    """[P-42] A logout of a key ends what an agent on its way holds there from before it, less the clock offset."""
    old = logins("10.0.0.1", at_ms=NOW_MS - OFFSET_MS - 1)
    new = logins("10.0.0.1", at_ms=NOW_MS - OFFSET_MS, first=1)
    table = _table(old, new)
    further = acts.marked(table, Changes(marks=(Mark("10.0.0.1", NOW_MS),)))

    assert [(list(run.sequences), list(run.states)) for run in further.ends] == [([0], [State.LOGGED_OUT])]


@pytest.mark.parametrize(("after_ms", "shown"), [(1_799_999, True), (1_800_000, False)])
def test_idle_death_is_a_function_of_time(after_ms: int, shown: bool) -> None:
    """[P-43] A login is shown up to the last millisecond of its idle time, and later activity brings it back."""
    table = _table(logins("10.0.0.1"))

    assert (table.view("10.0.0.1", NOW_MS + after_ms) is not None) == shown
    table.touch(LoginId("proxy1", 1, 0), NOW_MS + 1_000)
    assert table.view("10.0.0.1", NOW_MS + 1_800_000) is not None
    assert table.view("10.0.0.1", NOW_MS + HOUR_MS) is None


# -- the digest ----------------------------------------------------------------------------------------------------


def test_the_digest_covers_states_and_barriers_and_no_activity() -> None:
    """[P-44] Activity changes no root; an end and a barrier do; what has expired at the cut does not count."""
    cut_min = NOW_MS // 60_000
    table = _table(logins("10.0.0.1"))
    alive = table.root(cut_min)

    table.touch(LoginId("proxy1", 1, 0), NOW_MS + 1_000)
    assert table.root(cut_min) == alive
    table.merge(_end("10.0.0.1"), NOW_MS)
    ended = table.root(cut_min)
    assert ended != alive
    table.merge(Changes(barriers=(Barrier("alice", NOW_MS),)), NOW_MS)
    assert table.root(cut_min) != ended

    later_min = (NOW_MS + HOUR_MS) // 60_000 + 1
    assert _table(logins("10.0.0.1")).root(later_min) == _table().root(later_min)


def test_the_root_is_computed_as_the_document_says() -> None:
    """[P-45] An independent computation of the hashes of section 8 gives the same root."""

    def hashed(data: bytes, person: bytes) -> bytes:
        return blake2b(data, digest_size=8, key=DIGEST_KEY, person=person).digest()

    cut_min = NOW_MS // 60_000
    table = _table(
        logins("10.0.0.1", "10.0.0.2", first=255),
        _end("10.0.0.1", sequence=255),
        Changes(barriers=(Barrier("bob", NOW_MS),)),
    )
    leaves = [0] * 4_096
    for number, states in ((0, bytes(255) + b"\x03"), (1, b"\x01" + bytes(255))):
        label = f"{1:016x}{number:08x}proxy1".encode()
        leaf = int.from_bytes(hashed(label, b"leaf"), "big") % 4_096
        leaves[leaf] ^= int.from_bytes(hashed(states + label, b"page"), "big")
    level = [leaf.to_bytes(8, "big") for leaf in leaves]
    while len(level) > 16:
        level = [hashed(b"".join(level[at : at + 16]), b"node") for at in range(0, len(level), 16)]
    barriers = hashed(NOW_MS.to_bytes(8, "big") + b"bob", b"barrier")

    assert table.root(cut_min) == hashed(b"".join(level) + barriers, b"node")

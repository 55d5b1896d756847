"""Tests of protocol.descent: three messages find the differing leaves, and no peer can make it more."""

import pytest

from protocol.descent import CHILDREN_BYTES, Descent
from protocol.digest import LEAVES
from protocol.errors import RemoteProtocolError
from protocol.messages import Nodes
from protocol.session import Origin
from protocol.table import Table
from tests.protocol.pairs import NOW_MS, logins, make_table

CUT = NOW_MS // 60_000
ORIGIN = Origin("proxy1", 7)


def two_tables(common: int, only_mine: int) -> tuple[Table, Table]:
    """Tables with logins in so many pages; the first has one more login in some of them."""
    mine, theirs = make_table(), make_table()
    for page in range(common):
        for table in (mine, theirs):
            table.merge(logins(ORIGIN, [page * 256]), NOW_MS)
    for page in range(only_mine):
        mine.merge(logins(ORIGIN, [page * 256 + 1]), NOW_MS)
    return mine, theirs


def leaves_of(table: Table, pages: int) -> set[int]:
    return {
        leaf
        for leaf in range(LEAVES)
        for origin, page, _ in table.pages(CUT, leaf)
        if origin == ORIGIN and page < pages
    }


def descend(mine: Table, theirs: Table) -> tuple[Descent, list[Nodes]]:
    opener, answerer = Descent(mine, CUT, 1, 0), Descent(theirs, CUT, 1, 1)
    said: list[Nodes] = [answerer.top()]
    turn = [opener, answerer]
    while (answer := turn[0].receive(said[-1])) is not None:
        said.append(answer)
        turn.reverse()
    return opener, said


def test_three_messages_find_the_differing_leaves() -> None:
    """Exactly the leaves of the pages that differ come out, the greatest first."""
    mine, theirs = two_tables(common=300, only_mine=20)
    opener, said = descend(mine, theirs)
    assert len(said) == 3
    assert opener.leaves == sorted(leaves_of(mine, 20), reverse=True)
    assert sum(len(nodes.children) for nodes in said) <= 128 * (1 + 16 + 20)


def test_all_different_is_33_kib_at_most() -> None:
    """However different the tables, no level names more than its nodes."""
    mine, _ = two_tables(common=6_000, only_mine=0)
    opener, said = descend(mine, make_table())
    assert opener.leaves is not None
    assert len(opener.leaves) > 2_000
    assert [len(nodes.paths) for nodes in said] == [1, 16, 256]


def test_no_difference_below_the_root_ends_at_once() -> None:
    """Where only barriers differ, or a live change has made the trees equal, the opener has no leaves to look at."""
    mine, theirs = two_tables(common=5, only_mine=0)
    opener, said = descend(mine, theirs)
    assert opener.leaves == []
    assert len(said) == 1


def test_a_difference_that_vanishes_on_the_way_ends_there() -> None:
    """A live change between two steps makes the answerer name no nodes, and the opener come to no leaves."""
    mine, theirs = two_tables(common=5, only_mine=1)
    opener, answerer = Descent(mine, CUT, 1, 0), Descent(theirs, CUT, 1, 1)
    middle = opener.receive(answerer.top())
    assert middle is not None
    theirs.merge(logins(ORIGIN, [1]), NOW_MS)
    lowest = answerer.receive(middle)
    assert lowest is not None
    assert lowest.paths == ()
    assert opener.receive(lowest) is None
    assert opener.leaves == []


def nodes(*paths: bytes, size: int | None = None) -> Nodes:
    return Nodes(1, paths, b"?" * (CHILDREN_BYTES * len(paths) if size is None else size))


@pytest.mark.parametrize(
    "wrong",
    [
        nodes(b"\x00"),  # too deep
        nodes(b"\x00\x01\x02\x03"),
        nodes(b"", b""),  # twice
        nodes(b"", size=100),
        nodes(b"", size=256),
    ],
)
def test_the_opener_refuses_a_wrong_top(wrong: Nodes) -> None:
    """The first Nodes must be the root's, with its 16 children."""
    opener = Descent(make_table(), CUT, 1, 0)
    with pytest.raises(RemoteProtocolError):
        opener.receive(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        nodes(b""),  # back at the top
        nodes(b"\x10"),  # no such child
        nodes(b"\x02", b"\x01"),
        nodes(b"\x01", b"\x01"),
        nodes(b"\x01\x01"),
    ],
)
def test_the_answerer_refuses_a_wrong_middle(wrong: Nodes) -> None:
    """The second Nodes must name children of the root, each once."""
    answerer = Descent(make_table(), CUT, 1, 1)
    answerer.top()
    with pytest.raises(RemoteProtocolError):
        answerer.receive(wrong)


def test_the_opener_refuses_nodes_below_what_it_did_not_send() -> None:
    """The lowest Nodes must lie below nodes that differed: so a peer cannot make up work."""
    mine, theirs = two_tables(common=0, only_mine=1)
    opener, answerer = Descent(mine, CUT, 1, 0), Descent(theirs, CUT, 1, 1)
    middle = opener.receive(answerer.top())
    assert middle is not None
    (path,) = middle.paths
    elsewhere = bytes([(path[0] + 1) % 16, 0])
    with pytest.raises(RemoteProtocolError):
        opener.receive(nodes(elsewhere))


def test_there_is_no_fourth_message() -> None:
    """A peer that goes on after its last Nodes, on either side, loses its link."""
    mine, theirs = two_tables(common=1, only_mine=1)
    opener, answerer = Descent(mine, CUT, 1, 0), Descent(theirs, CUT, 1, 1)
    middle = opener.receive(answerer.top())
    assert middle is not None
    lowest = answerer.receive(middle)
    assert lowest is not None
    opener.receive(lowest)
    with pytest.raises(RemoteProtocolError):
        opener.receive(lowest)
    with pytest.raises(RemoteProtocolError):
        answerer.receive(middle)

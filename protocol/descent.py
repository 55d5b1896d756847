"""The descent: two nodes with differing roots find the leaves that differ, by turns, in three messages.

Rules of this file:

- Each message goes one level down, and only below what differed: so there are three, and none names more than 256
  nodes (33 KiB), whatever the peer does.
- A descent reads the table at each step. Changes in between show as differences that are none, or hide one that
  travels live anyway.

Theory. The answerer sends the hashes of the 16 children of the root; the opener those below each that differs; the
answerer those below each that differs there; and the opener sees which leaves differ. 100 scattered differences among
1,000,000 sessions cost about 13 KiB so (reference/reliability.md section 2.3).
"""

from collections.abc import Iterable, Iterator
from typing import NoReturn

from protocol.digest import DEPTH, FANOUT, HASH_BYTES
from protocol.disclosure import Disclosure
from protocol.errors import RemoteProtocolError
from protocol.messages import Nodes

CHILDREN_BYTES = FANOUT * HASH_BYTES


class Descent:
    """One side's part of it. The opener awaits nodes of depth 0 (the root), the answerer, after `top`, of depth 1.

    `leaves` are the opener's result, the greatest first; None until it is known.
    """

    def __init__(self, table: Disclosure, cut_min: int, number: int, awaited_depth: int) -> None:
        self.leaves: list[int] | None = None
        self._table = table
        self._cut_min = cut_min
        self._number = number
        self._awaited_depth: int | None = awaited_depth
        self._opener = awaited_depth == 0
        self._sent: frozenset[bytes] = frozenset()

    def top(self) -> Nodes:
        """The answerer's first message."""
        return self._nodes([b""])

    def receive(self, theirs: Nodes) -> Nodes | None:
        """Go one level down; None when this side has nothing more to ask. Raises RemoteProtocolError."""
        depth = self._awaited_depth
        if depth is None:
            _refuse("Nodes out of turn")
        self._check(theirs, depth)
        differing = [below for path, children in _each(theirs) for below in self._differing(path, children)]
        at_leaves = depth + 1 == DEPTH
        if at_leaves or (self._opener and not differing):
            self._awaited_depth = None
            self.leaves = [_leaf(path) for path in reversed(differing)] if at_leaves else []
            return None
        self._awaited_depth = depth + 2 if self._opener else None
        return self._nodes(differing)

    def _nodes(self, paths: Iterable[bytes]) -> Nodes:
        """The children of some nodes; the paths ascend."""
        self._sent = frozenset(paths)
        ordered = tuple(sorted(self._sent))
        children = b"".join(self._table.children(self._cut_min, path) for path in ordered)
        return Nodes(self._number, ordered, children)

    def _check(self, theirs: Nodes, depth: int) -> None:
        if len(theirs.children) != len(theirs.paths) * CHILDREN_BYTES:
            _refuse("Nodes whose children do not fit their paths")
        before = None
        for path in theirs.paths:
            if len(path) != depth or any(step >= FANOUT for step in path):
                _refuse("Nodes at the wrong depth")
            if before is not None and path <= before:
                _refuse("Nodes that do not ascend")
            if depth and path[:-1] not in self._sent:
                _refuse("Nodes below what was not sent")
            before = path

    def _differing(self, path: bytes, theirs: bytes) -> list[bytes]:
        """The paths of the children of a node that are not the same here and there."""
        mine = self._table.children(self._cut_min, path)
        if mine == theirs:
            return []
        return [
            path + bytes([step])
            for step in range(FANOUT)
            if mine[step * HASH_BYTES : (step + 1) * HASH_BYTES] != theirs[step * HASH_BYTES : (step + 1) * HASH_BYTES]
        ]


def _each(nodes: Nodes) -> Iterator[tuple[bytes, bytes]]:
    for number, path in enumerate(nodes.paths):
        yield path, nodes.children[number * CHILDREN_BYTES : (number + 1) * CHILDREN_BYTES]


def _leaf(path: bytes) -> int:
    """The number of the leaf at the end of a path of DEPTH steps."""
    return (path[0] * FANOUT + path[1]) * FANOUT + path[2]


def _refuse(text: str) -> NoReturn:
    raise RemoteProtocolError(f"comparison: {text}")

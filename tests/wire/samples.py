"""One of each message, and changes of every kind: what golden bytes, cuts and round trips are about."""

from protocol import messages
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.errors import Code
from protocol.item import SINGLE_USE, SOLE, STRICT, Claim, Fate, Item, Witness
from protocol.messages import Message, Role
from protocol.session import Attributes, Origin, State

ORIGIN = Origin("squid-1", 0xFEDCBA9876543210)
NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000

STAFF: Attributes = (("groups", ("staff", "wlan")), ("mail", "alice@example.org"))

LOGIN = LoginRun(
    ORIGIN, range(7, 8), "lan1", ["10.3.4.5"], ["alice"], [NOW_MS], [NOW_MS + 12 * HOUR_MS], [1800], [STAFF]
)
LOGINS = LoginRun(
    ORIGIN,
    [9, 700, 70_000],
    "lan1",
    ["10.3.4.5", "fe80::1", "cookie:00112233445566778899aabbccddeeff"],
    ["alice", "bob", "Зоя"],
    [NOW_MS, NOW_MS + 5, NOW_MS + 70_000],
    [NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, NOW_MS + 3 * HOUR_MS],
    [60, 1800, 7200],
    [(), STAFF, ()],
    [NOW_MS + 1, NOW_MS + 6, NOW_MS + 70_000],
    bytes([State.ALIVE, State.SUPERSEDED, State.CONFLICT]),
)
ENDS = EndRun(
    ORIGIN,
    range(7, 9),
    bytes([State.LOGGED_OUT, State.LOGGED_OUT]),
    ["10.3.4.5", "10.3.4.6"],
    ["alice", "alice"],
    [NOW_MS + HOUR_MS] * 2,
)
TOUCHES = TouchRun(ORIGIN, range(7, 10), [NOW_MS, NOW_MS + 1, NOW_MS + 2])
CODE = Item(
    "provision-code", "c0de", "Зоя", "lan1", NOW_MS, NOW_MS + 600_000, SINGLE_USE | STRICT | SOLE, b"", b"l" * 36,
    (Witness("squid-1", 77), Witness("authagent-2", 0)), Fate.REVOKED, (("lan1/authagent-1", 2),),
    (Claim(b"phone-1", "phone-1", NOW_MS + 5, "lan1/authagent-1", True),),
)  # fmt: skip
CHALLENGE = Item("image", "5f3a", "alice", "lan1", NOW_MS, NOW_MS + 120_000, blob=b"2718281828")
CHANGES = Changes(
    (LOGIN, LOGINS), (ENDS,), (TOUCHES,), (Barrier("alice", NOW_MS), Barrier("bob", 0)), (Mark("10.3.4.5", NOW_MS),),
    (CODE, CHALLENGE),
)

MESSAGES: tuple[Message, ...] = (
    messages.Hello(
        1, 1, "proxy", "lan1", "squid-1", 77, "proxyagent 0.1", b"CONFHASH", b"SECR", NOW_MS, "SCRAM-SHA-256", b"n,,x"
    ),
    messages.Challenge(1, "lan1", "1", 78, "authagent 0.1", b"CONFHASH", NOW_MS, b"r=x"),
    messages.Proof(NOW_MS, b"c=x"),
    messages.Welcome(b"v=x"),
    messages.Refusal(Code.CLOCK, "clocks differ by 9 s", 500, "2"),
    messages.Heartbeat(
        Role.MASTER, 3, False, 1 << 63, 12, 29_833_333, b"8 bytes!", b"SECR", NOW_MS, NOW_MS, 55, 54, 1, 0, 1_000_000,
        False, ("lan2", "lan3"),
    ),
    messages.Farewell(Code.NOT_MASTER, "the master is 2", "2"),
    messages.Error(Code.UNKNOWN_MESSAGE, "message 99 is unknown to this version"),
    messages.Ping(5),
    messages.Pong(5),
    messages.Update(12, "lan1", b"payload"),
    messages.Report(1, b"payload"),
    messages.Acknowledgement(5, 4, ("1", "2")),
    messages.Stored(1 << 63, 12),
    messages.Follow(1 << 63, 11, b"8 bytes!"),
    messages.Following(1 << 63, 12, True),
    messages.Bulk(3, b"payload"),
    messages.Crossing(9, b"batch"),
    messages.Compare(3, 29_833_333, b"SECR", b"8 bytes!", b"barriers", 10, 0, False, b"itemhash"),
    messages.Nodes(3, (b"", b"\x0f\x00"), bytes(256)),
    messages.Pages(3, (0, 4095), ("squid-1",), (9,), (0, 0), (0, 1), (b"\x01", b"\x02"), True),
    messages.Want(3, ("squid-1",), (9,), (0,), (1,), (b"\x07",), (b"",), True),
    messages.Compared(3, 12),
    messages.SnapshotWait(3),
    messages.IdleQuestion(8, ("squid-1",), (9,), (700,), (NOW_MS,)),
    messages.IdleAnswer(8, b"payload"),
    messages.Creation(2, b"payload"),
    messages.Redemption(3, "provision-code", "", "alice", b"phone-1", "phone-1", (b"SECR",), (b"p" * 32,)),
    messages.Verdict(3, messages.Ruling.GRANTED, b"payload"),
    messages.Revocation(4, "provision-code", "", "alice"),
    messages.AdminRequest(4, b'{"verb":"switch"}'),
    messages.AdminAnswer(4, b"{}"),
)

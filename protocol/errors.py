"""The error tree, by blame.

    ProtocolError
    |-- LocalProtocolError      we broke a rule: a bug here; the process must not go on as if nothing happened
    `-- RemoteProtocolError     they broke a rule: costs them the link, one log line, nothing else

Rules of this file:

- Only the receiving door (framing, codec, handshake, connection) raises RemoteProtocolError.
- A Code is what crosses the wire in a Refusal, a Farewell or an Error. Numbers are append only; the table in
  docs/reference/protocol.md is tested against this enum.
"""

import enum


class Code(enum.IntEnum):
    """Why a link was refused, ended or complained about."""

    STOPPING = 1  # the sender is shutting down in order
    NOT_MASTER = 2  # a slave: `elsewhere` names the master
    DUPLICATE = 3  # another link of this id is alive
    UNLISTED = 4  # the id, or the address it comes from, is not in the file
    UNAUTHORIZED = 5  # the secret is wrong
    UNKNOWN_SECRET = 6  # the line of the secret file that was named is not here: try the next line
    VERSION = 7  # no common protocol version
    CLOCK = 8  # wall clocks further apart than max_clock_offset
    PROTOCOL = 9  # bytes or messages against the rules
    UNKNOWN_MESSAGE = 10  # a message number that this version does not know; the link stays
    TOO_MANY = 11  # a bound on connections was reached
    SLOW_READER = 12  # what waited for the peer passed its bound
    SILENT = 13  # nothing heard for longer than suspect_after
    SUPERSEDED = 14  # a newer link of the same process took over
    WRONG_SITE = 15  # the site that the peer named is not listed, is not the one dialled, or lets something else cross
    BUSY = 16  # not decided yet who serves; try again


class ProtocolError(Exception):
    """Base of all errors of the language."""


class LocalProtocolError(ProtocolError):
    """This side broke a rule of the protocol: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule of the protocol; its link must be closed with `code`.

    The text may be logged: it never holds a key, a user name or a secret.
    """

    def __init__(self, text: str, code: Code = Code.PROTOCOL) -> None:
        super().__init__(text)
        self.code = code

"""Every bound of the language in one place, each with its reason.

Rules of this file:

- Nothing is imported here, so that anything may import it.
- A bound that an operator may raise is only the default of a setting (DESIGN section 7); all others are fixed.
- Units come last in each name.
"""

# -- frames ------------------------------------------------------------------------------------------------------

FRAME_BYTES_MAX = 64 * 1024
"""An ordinary frame. 500 logins of ordinary size take about 20 KiB; the rest is room for long keys."""

BULK_FRAME_BYTES_MAX = 1024 * 1024
"""Any frame on a proven link. Snapshot slices aim at 64 KiB; the bound only stops a 4 GiB length."""

HANDSHAKE_FRAME_BYTES_MAX = 4 * 1024
"""A frame before the peer has proven itself: a stranger may make us hold 4 KiB and no more."""

HANDSHAKE_TIMEOUT_S = 2.0
"""From accept to proven link, in total and not per byte, so that dripping bytes gains nothing."""

# -- links -------------------------------------------------------------------------------------------------------

FAREWELL_TIMEOUT_S = 0.5
"""How long a closed link stays open for its peer to read the reason, and for what is queued to leave."""

UNACKNOWLEDGED_TIMEOUT_S = 3.0
"""How long TCP may wait for an acknowledgement within a site (TCP_USER_TIMEOUT); heartbeats find silence sooner."""

UNACKNOWLEDGED_WAN_TIMEOUT_S = 15.0
"""The same between sites: three times wan_suspect_after, so that heartbeats decide there too."""

CONNECTIONS_MAX = 2_000
"""Links of all kinds at one agent; an operator may raise it ([limits] connections)."""

UNPROVEN_CONNECTIONS_MAX = 64
"""Connections still in their handshake; 64 x 4 KiB and 64 x 2 s is all a flood of strangers can hold."""

OUTBOUND_BYTES_MAX = 8 * 1024 * 1024
"""What may wait for one slow reader; beyond it the link is closed and resumed by cursor."""

DUPLICATE_PING_TIMEOUT_S = 1.0
"""How long the first link of an id has to answer before a second one replaces it (DESIGN section 5)."""

REDIRECTS_MAX = 2
"""Redirects followed in a row; more means that two agents point at each other."""

# -- sessions ----------------------------------------------------------------------------------------------------

SESSIONS_MAX = 1_000_000
"""Records (sessions and tombstones) in one table; an operator may raise it ([limits] sessions)."""

PAGE_RECORDS_MIN = 16
"""A table of n records has at most n / 16 pages of 256: scattered sequences cost at most 150 bytes a record more."""

PAGES_MIN = 1_024
"""Pages that any table may have, however few its records: each run of each proxy needs one, even for one login."""

KEY_BYTES_MAX = 256
"""`cookie:` + 32 hex digits + `+` + an IPv6 address is 85; the rest is for keys that a host program makes."""

USER_BYTES_MAX = 256
"""An LDAP distinguished name of ordinary size fits; RFC 5321 allows 254 bytes for a mail address."""

NAME_BYTES_MAX = 64
"""A site or a proxy id: it stands in every login id and every log line."""

ATTRIBUTES_MAX = 32
"""Names in one session's attributes (DESIGN section 8)."""

ATTRIBUTES_BYTES_MAX = 4 * 1024
"""One session's attributes, packed (DESIGN section 8)."""

SEQUENCE_MAX = (1 << 40) - 1
"""Logins of one proxy in one epoch: 10,000 logins a second for three years."""

IDLE_TIMEOUT_S_MIN = 60
"""Below a minute the touch interval and the clock offset would decide who is idle."""

LIFETIME_MS_MAX = 7 * 24 * 3600 * 1000
"""The absolute lifetime at most (DESIGN section 3): it bounds how long tombstones live."""

MAX_CLOCK_OFFSET_MS = 2_000
"""Default of [timing] max_clock_offset: wall clocks further apart refuse each other."""

# -- batches -----------------------------------------------------------------------------------------------------

BATCH_CHANGES_MAX = 500
"""Changes put into one frame when there is a choice; a larger batch costs latency and gains no throughput."""

FRAME_CHANGES_MAX = 4_096
"""Changes accepted in one frame: what a hostile peer can make us merge without a pause."""

FRAME_ATTRIBUTE_MAPS_MAX = 255
"""Distinct attribute maps in one run of logins: the index of a login into them is one byte."""

OUTBOX_EVENTS_MAX = 100_000
"""Events a proxy keeps for an agent that is away; an operator may raise it ([limits] outbox_events)."""

LOG_BYTES_MAX = 32 * 1024 * 1024
"""The replication log of a master: about 750,000 logins; whoever missed more compares tables, which costs little more."""

SNAPSHOTS_AT_ONCE_MAX = 2
"""Snapshots served at one time; a third follower waits and goes on with what it has."""

BARRIER_KEPT_MS = LIFETIME_MS_MAX
"""How long a user's barrier is kept (plus twice the clock offset): no login it could kill lives longer."""

NOTICES_MAX = 1_000
"""Notices that wait for one reader; then one NoticesLost stands for the rest (DESIGN section 8)."""

# -- what stands in messages -------------------------------------------------------------------------------------

TEXT_BYTES_MAX = 512
"""The text of a refusal, farewell or error: one log line."""

HASH_BYTES_MAX = 64
"""Any hash or id of bytes in a message: SHA-512 at most, so that a newer version may lengthen its own."""

TIME_MS_MAX = (1 << 48) - 1
"""Any time: until the year 10889. Sums of times and durations stay far below 2^63, so arrays of them never overflow."""

IDLE_TIMEOUT_S_MAX = (1 << 32) - 1
"""The wire carries no longer idle time; a lifetime ends each session long before."""

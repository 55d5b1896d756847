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
"""Links at one agent; beyond it only agents are let in. An operator may raise it ([limits] connections)."""

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

EXPIRED_KEPT_MS = 3 * 60 * 1000
"""How long a record is kept, and taken in, beyond its expiry and twice the clock offset: it may count in the oldest
of the three digests that can be asked for, and what counts there must be possible to mend."""

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
"""The replication log of a master, with what its entries cost: some 700,000 logins in batches, or 100,000 that came one
by one. Whoever missed more compares tables, at little more cost."""

SNAPSHOTS_AT_ONCE_MAX = 2
"""Snapshots served at one time; a third follower waits and goes on with what it has."""

BARRIER_KEPT_MS = LIFETIME_MS_MAX
"""How long a user's barrier is kept (plus twice the clock offset): no login it could kill lives longer."""

NOTICES_MAX = 1_000
"""Notices that wait for one reader; then one NoticesLost stands for the rest (DESIGN section 8)."""

# -- cookies -----------------------------------------------------------------------------------------------------

COOKIE_KEY_BYTES = 64
"""A256CBC-HS512 takes 32 bytes for its MAC and 32 for AES; a shorter key would be filled up with zeros."""

COOKIE_KEYS_MAX = 4
"""Keys in one ring: one writes, the others are read until the last cookie under them is over. Each costs one MAC."""

COOKIE_COMPRESSED_ABOVE_BYTES = 1_024
"""Claims that are longer are compressed; shorter ones would hardly gain."""

COOKIE_BYTES_MAX = 4_000
"""A cookie that is written: browsers keep 4,096 bytes for name and value together, and drop what is longer unasked."""

COOKIE_READ_BYTES_MAX = 16 * 1024
"""A cookie that is read, before anything is done with it; others may write longer ones than we do."""

COOKIE_CLAIMS_BYTES_MAX = 64 * 1024
"""Claims after inflation: 16 KiB of deflate can claim to be 16 MiB."""

COOKIE_NAME_BYTES_MAX = 64
"""Its name: with 4,000 bytes of value it stays below what browsers keep."""

# -- items: codes and challenges ---------------------------------------------------------------------------------

ITEMS_MAX = 50_000
"""Items in one table: 60 new challenges a second, each kept for its ten minutes and four more."""

ITEMS_BYTES_MAX = 32 * 1024 * 1024
"""What the items of one table may take, each reckoned as its blob and 512 bytes."""

ITEM_BLOB_BYTES_MAX = 4 * 1024
"""The maker's own part of an item: a challenge, an image's string, a hash. Larger things belong elsewhere."""

ITEM_ID_BYTES_MAX = 128
"""An item's id: a UUID, 64 hexadecimal digits, or whatever its maker calls it."""

ITEM_HOLDER_BYTES_MAX = 256
"""For whom an item is redeemed: the id of a device."""

ITEM_LIFETIME_MS_MAX = 1_000_000_000
"""1,000,000 seconds: the longest validity that a provisioning code could ever have in the source."""

ITEM_WITNESSES_MAX = 5
"""Whose word counts for one item when an agent is gone: three are named, a newer version may name more."""

ITEM_NODES_MAX = 8
"""Nodes that count the wrong tries of one item: the agents of its site, and others in a split."""

ITEM_CLAIMS_MAX = 4
"""Requests that may each have taken one item, on as many sides of splits; the others are dropped, the last first."""

CODE_TRIES_MAX = 5
"""Wrong codes before the right one is refused too: 2^-32 to guess one of 34.6 bits (RFC 8628 section 5.1)."""

CODE_VALIDITY_S_MIN = 10
"""As in the source: shorter, nobody could type it."""

CODE_VALIDITY_S_MAX = 1_000_000
"""As in the source; 600 is the default of both."""

CHALLENGE_VALIDITY_S_MAX = 600
"""A challenge is answered at once, or not at all."""

QUESTIONS_MAX = 1_000
"""Redemptions under way at one node; beyond it they are asked to come again."""

# -- what stands in messages -------------------------------------------------------------------------------------

TEXT_BYTES_MAX = 512
"""The text of a refusal, farewell or error: one log line."""

HASH_BYTES_MAX = 64
"""Any hash or id of bytes in a message: SHA-512 at most, so that a newer version may lengthen its own."""

TIME_MS_MAX = (1 << 48) - 1
"""Any time: until the year 10889. Sums of times and durations stay far below 2^63, so arrays of them never overflow."""

IDLE_TIMEOUT_S_MAX = (1 << 32) - 1
"""The wire carries no longer idle time; a lifetime ends each session long before."""

WEB_ADDRESS_BYTES_MAX = 2_048
"""The address of a webhook: longer ones are refused by half of the servers there are."""

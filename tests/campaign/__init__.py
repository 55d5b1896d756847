"""`make campaign`: real faults under load, the same script and the same judge for the pair and for its peers.

How it is run:

    python -m tests.campaign --minutes 15                       the pair; prints what was found
    python -m tests.campaign --minutes 4 --against redis-3      a peer: redis-2, redis-3, haproxy-peers, or all
    python -m tests.campaign --minutes 15 --against all --json docs/reliability/real-faults.json

Rounds follow each other until the minutes are used up. Each starts everything empty, logs in and out at every proxy,
breaks things one at a time, then several at once, mends everything, and compares what every proxy shows with what was
acknowledged. With --json the figures are kept there and the page docs/reliability.md is written anew from them.
"""

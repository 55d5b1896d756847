"""The real shells of agents and proxies in one process, over links in memory, on a virtual clock.

What tests/simulation does with the machines alone is done here with all that surrounds them: tasks, links, handshakes,
queues, diallers, timers. There is no socket, no thread, no file that is written, and no real time; so a seed gives one
history:

    PYTHONHASHSEED=0 python -m tests.virtual 17          one history, told step by step
    PYTHONHASHSEED=0 python -m tests.virtual 1 40        the histories of these seeds
"""

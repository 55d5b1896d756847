"""Relays in front of agents, as a process that counts and cuts: `python -m tests.benchmark.wire [HOST:]FROM=TO ...`.

Commands as JSON lines: `bytes` (what passed for one proxy), `all_bytes` (for everybody, also where TLS hides who it
was), `cut` (one proxy off from the agents), `cut_all`, `heal`.
"""

import functools
import json
import os
import sys

import trio

from authagent.demo.relay import Caller, Relay


async def main() -> None:
    """Serve until standard input ends."""
    async with trio.open_nursery() as nursery:
        relays = []
        for pair in sys.argv[1:]:
            place, _, target = pair.partition("=")
            host, _, port = place.rpartition(":")
            relays.append(Relay(int(target)))
            serve = functools.partial(trio.serve_tcp, relays[-1].serve, int(port), host=host or "127.0.0.1")
            await nursery.start(serve)
        print(json.dumps({"ready": True}), flush=True)
        buffer = b""
        async for data in trio.lowlevel.FdStream(os.dup(0)):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                print(json.dumps(obey(relays, json.loads(line))), flush=True)
        nursery.cancel_scope.cancel()


def obey(relays: list[Relay], command: dict[str, str]) -> dict[str, int]:
    """One command."""
    match command:
        case {"do": "bytes", "proxy": proxy}:
            return {"bytes": sum(relay.passed_bytes[Caller("proxy", proxy)] for relay in relays)}
        case {"do": "all_bytes"}:
            return {"bytes": sum(sum(relay.passed_bytes.values()) for relay in relays)}
        case {"do": "cut_all"}:
            for relay in relays:
                relay.cut(lambda caller: True)
        case {"do": "cut", "proxy": proxy}:
            for relay in relays:
                relay.cut(lambda caller: caller == Caller("proxy", proxy))
        case {"do": "heal"}:
            for relay in relays:
                relay.heal()
        case _:
            raise ValueError(f"no such command: {command}")
    return {}


if __name__ == "__main__":
    trio.run(main)

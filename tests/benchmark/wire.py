"""Relays in front of both agents, as a process that counts and cuts: `python -m tests.benchmark.wire FROM=TO ...`.

Commands as JSON lines: `bytes` (what passed for one proxy), `cut` (one proxy off from both agents), `heal`.
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
            own, target = map(int, pair.split("="))
            relays.append(Relay(target))
            await nursery.start(functools.partial(trio.serve_tcp, relays[-1].serve, own, host="127.0.0.1"))
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

"""The switch in front of the proxies."""

import functools
import socket

import pytest
import trio

from authagent.demo.switch import Splitter, haproxy, haproxy_configuration


async def first_line(stream: trio.SocketStream) -> None:
    """A proxy that answers with the first line it got."""
    data = b""
    while b"\n" not in data:
        data += await stream.receive_some()
    await stream.send_all(data.partition(b"\n")[0] + b"\n")
    await stream.aclose()


async def serve(nursery: trio.Nursery, handler: object) -> int:
    """Serve on a free port; returns the port."""
    listeners = await nursery.start(functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
    port: int = listeners[0].socket.getsockname()[1]
    return port


async def test_the_splitter_tells_the_address_and_passes_over_a_dead_proxy() -> None:
    """Every connection arrives with its PROXY line, though every other proxy refuses."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            alive = await serve(nursery, first_line)
            port = await serve(nursery, Splitter([unused.getsockname()[1], alive]).serve)
            for _ in range(4):
                async with await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.1.9") as client:
                    await client.send_all(b"GET\n")
                    assert (await client.receive_some()).startswith(b"PROXY TCP4 127.0.1.9 127.0.0.1 ")
            nursery.cancel_scope.cancel()


async def test_with_no_proxy_left_the_client_is_let_go() -> None:
    """The connection ends; the splitter goes on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            port = await serve(nursery, Splitter([unused.getsockname()[1]]).serve)
            for _ in range(2):
                async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                    with trio.fail_after(2.0):
                        assert await client.receive_some() == b""
            nursery.cancel_scope.cancel()


async def test_haproxy_accepts_its_configuration(tmp_path: object) -> None:
    """HAProxy itself finds nothing wrong with what is written for it."""
    program = haproxy()
    if program is None:
        pytest.skip("HAProxy is not installed")
    text = haproxy_configuration(3128, [("proxy1", 3129), ("proxy2", 3130)])
    path = f"{tmp_path}/haproxy.cfg"
    await trio.Path(path).write_text(text)
    done = await trio.run_process([program, "-c", "-f", path], check=False, capture_stdout=True, capture_stderr=True)
    assert done.returncode == 0, done.stderr
    assert b"WARNING" not in done.stderr

"""Whether, where and with which certificate HTTP is served; that what goes wrong with it is told and tried again."""

import builtins
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from protocol.io import http_door
from protocol.io.http_door import HttpDoor, Place
from protocol.io.log import Log, Severity
from protocol.io.tls import make_certificate
from tests.ports import free_port
from tests.protocol.io.http.asking import TIMEOUT_S, exchange, get, status_of


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def application() -> Any:
    return Starlette(routes=[Route("/", hello)])


@attrs.define
class Kept:
    """A door that is kept open, where it is meant to be, and what it logged."""

    place: Place
    lines: list[tuple[Severity, str, Mapping[str, object]]] = attrs.field(factory=list)
    door: HttpDoor = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        log = Log(lambda *line: self.lines.append(line), level=1, monotonic_s=trio.current_time)
        self.door = HttpDoor(lambda: self.place, application, log)

    def logged(self, event: str) -> list[Mapping[str, object]]:
        return [values for _, name, values in self.lines if name == event]

    async def until_open(self) -> None:
        with trio.fail_after(TIMEOUT_S):
            while self.door.server is None:
                await trio.sleep(0.01)

    async def until_failed(self) -> None:
        with trio.fail_after(TIMEOUT_S):
            while not self.door.error:
                await trio.sleep(0.01)


@asynccontextmanager
async def kept(place: Place) -> AsyncIterator[Kept]:
    """Its door, kept open until the end of the body."""
    made = Kept(place)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.door.keep)
        yield made
        nursery.cancel_scope.cancel()


async def test_without_a_place_nothing_listens_until_a_reload_names_one() -> None:
    """`listen = ""` is off; a reload opens it, and moves it."""
    first, second = free_port(), free_port()
    async with kept(Place("")) as made:
        await trio.testing.wait_all_tasks_blocked()
        assert made.door.server is None and not made.lines
        made.place = Place(f"127.0.0.1:{first}")
        made.door.reopen()
        await made.until_open()
        assert status_of(await exchange(first, get("/"))) == 200
        made.place = Place(f"localhost:{second}")
        made.door.server = None
        made.door.reopen()
        await made.until_open()
        assert status_of(await exchange(second, get("/"))) == 200
    assert [line["at"] for line in made.logged("http.listening")] == [f"127.0.0.1:{first}", f"localhost:{second}"]


async def test_a_port_that_is_taken_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One alarm, an error for `status`, and an open door as soon as the port is free."""
    monkeypatch.setattr(http_door, "RETRY_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        async with kept(Place(f"127.0.0.1:{port}")) as made:
            await made.until_failed()
            assert f"cannot listen at 127.0.0.1:{port}" in made.door.error
            holder.close()
            await made.until_open()
            assert not made.door.error
            assert status_of(await exchange(port, get("/"))) == 200
    assert len(made.logged("http.failed")) == 1


async def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare install has no hypercorn: the line says what to install."""
    real = builtins.__import__

    def bare(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "protocol.io.http.server":
            raise ModuleNotFoundError("No module named 'hypercorn'", name="hypercorn")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", bare)
    async with kept(Place(f"127.0.0.1:{free_port()}")) as made:
        await made.until_failed()
    assert made.door.error == '[http] needs hypercorn, which is not installed: pip install "one-login[http]"'
    assert [severity for severity, _, _ in made.lines] == [Severity.ALARM]


async def _over_tls(port: int) -> tuple[int, bytes]:
    """The status of an answer over TLS, and the certificate that was shown, whoever signed it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with trio.fail_after(TIMEOUT_S):
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context, https_compatible=True)
        await stream.send_all(get("/"))
        answer = await stream.receive_some()
        certificate = stream.getpeercert(binary_form=True)
        await stream.aclose()
    return status_of(bytes(answer)), certificate


async def test_off_loopback_there_is_tls_only(tmp_path: Path) -> None:
    """With a self-made certificate, else with the operator's own; who speaks plainly gets nothing."""
    port = free_port("0.0.0.0")
    async with kept(Place(f"0.0.0.0:{port}")) as made:
        await made.until_open()
        status, self_made = await _over_tls(port)
        assert status == 200
        assert status_of(await exchange(port, get("/"))) == 0

        certificate, key = make_certificate("browsers.example")
        (tmp_path / "c.pem").write_bytes(certificate)
        (tmp_path / "k.pem").write_bytes(key)
        made.place = Place(f"0.0.0.0:{port}", str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
        made.door.server = None
        made.door.reopen()
        await made.until_open()
        status, own = await _over_tls(port)
        assert status == 200 and b"browsers.example" in own and own != self_made


async def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With the file's name, and nothing listens in its stead."""
    port = free_port("0.0.0.0")
    async with kept(Place(f"0.0.0.0:{port}", str(tmp_path / "none.pem"), str(tmp_path / "none.key"))) as made:
        await made.until_failed()
    assert made.door.error.startswith("[http] certificate: ") and "none.pem" in made.door.error

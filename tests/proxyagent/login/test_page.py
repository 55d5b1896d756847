"""The login page as the configuration has it."""

from pathlib import Path

import bcrypt
import pytest
from starlette.applications import Starlette

from protocol.io.log import quiet_log
from proxyagent.config import load
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import page
from proxyagent.login.identity import BackendUnusable
from proxyagent.testing import FakeProxyAgent
from tests.protocol.io.http.asking import serving
from tests.proxyagent.login.showing import Browser


def write(folder: Path, more: str = "") -> Path:
    """A configuration with alice as its one user."""
    hashed = bcrypt.hashpw(b"wonderland", bcrypt.gensalt(4)).decode()
    (folder / "users").write_text(f"alice:{hashed}\n")
    path = folder / "authagent.toml"
    path.write_text(f'[login]\nlisten = "127.0.0.1:8080"\nbackend = "htpasswd:users"\n{more}')
    return path


async def test_it_is_put_together_from_the_file(tmp_path: Path) -> None:
    """Users, texts and hosts to go on to are those that the file names; cookies are drawn, 32 bytes long."""
    (tmp_path / "texts.toml").write_text('[en]\nuser = "Badge"\n')
    more = 'texts = "texts.toml"\nreturn_hosts = ["app.example"]\n[client]\nkey = "cookie"\ncookie = "sid"\n'
    setup = load(str(write(tmp_path, more)), id="p1")
    agent = FakeProxyAgent()
    app = await page.make(setup, agent, ClientKeys(setup.configuration.client), quiet_log())
    assert isinstance(app, Starlette)
    async with serving(*app.routes) as served:
        alice = Browser(served.port)
        assert ">Badge<" in (await alice.get("/")).body
        came = await alice.log_in("alice", "wonderland", "http://app.example/")
        assert came.status == 200 and "refresh" in came.body
        assert len(alice.cookies["sid"]) == len(alice.cookies["login-form"]) == 43 and agent.sessions("alice")


async def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    """Before anything is served."""
    setup = load(str(write(tmp_path, 'texts = "missing"\n')), id="p1")
    with pytest.raises(BackendUnusable, match=r"\[login\] texts"):
        await page.make(setup, FakeProxyAgent(), ClientKeys(setup.configuration.client), quiet_log())

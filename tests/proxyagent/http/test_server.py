"""What `proxyagent run` answers over HTTP to load balancers."""

import trio

from proxyagent.errors import InternalError
from proxyagent.testing import open_fake_site
from tests.proxyagent.http.telling import told

TIMEOUT_S = 15.0


async def test_a_proxy_that_follows_is_ready_and_an_isolated_one_is_not() -> None:
    """Isolated it is alive, and says that it answers; following again it is ready again."""
    async with open_fake_site(proxies=1) as site:
        (proxy,) = site.proxies
        with trio.fail_after(TIMEOUT_S):
            await proxy.wait_synchronised()
            assert await told(proxy, "/ready") == (200, {"ready": True, "isolated": False, "answering": True})
            site.cut()
            while not proxy.isolated:
                await trio.sleep(0.01)
            assert await told(proxy, "/ready") == (503, {"ready": False, "isolated": True, "answering": True})
            assert await told(proxy, "/health") == (200, {"alive": True})
            site.heal()
            while (await told(proxy, "/ready"))[0] != 200:
                await trio.sleep(0.01)


async def test_a_broken_proxy_is_not_alive() -> None:
    """After a bug of ours whoever restarts what is dead should restart it."""
    async with open_fake_site(proxies=1) as site:
        (proxy,) = site.proxies
        proxy.shell.close(InternalError("a bug"))
        assert await told(proxy, "/health") == (503, {"alive": False})
        assert (await told(proxy, "/ready"))[0] == 503

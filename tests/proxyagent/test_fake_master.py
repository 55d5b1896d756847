"""The small master in memory."""

import pytest
import trio
from trio.testing import MockClock

from protocol.errors import Code
from protocol.io.link import LinkClosed, LinkFailed
from protocol.messages import Ping
from proxyagent.fake_master import FakeMaster, memory_links
from proxyagent.testing import open_fake_site, trio_clock


async def test_memory_links_carry_messages_and_reasons() -> None:
    """What one end sends the other receives, and a close says why on both."""
    near, far = memory_links()
    near.send(Ping(1))
    near.send(Ping(2))
    assert await far.receive() == [Ping(1), Ping(2)]
    far.close(Code.NOT_MASTER, "slave", elsewhere="1")
    with pytest.raises(LinkClosed) as closed:
        await near.receive()
    assert (closed.value.code, closed.value.elsewhere) == (Code.NOT_MASTER, "1")
    near.send(Ping(3))


async def test_a_cut_link_ends_without_a_word() -> None:
    """After a cut both ends raise, with no code, and dialling fails until healed."""
    near, far = memory_links()
    far.cut()
    with pytest.raises(LinkClosed) as closed:
        await near.receive()
    assert closed.value.code is None
    master = FakeMaster("site", b"k" * 32, b"line", trio_clock().read)
    async with trio.open_nursery() as nursery:
        await nursery.start(master.run)
        master.cut(None)
        with pytest.raises(LinkFailed):
            await master.dialler("p1")(0, 1.0)
        master.heal()
        await master.dialler("p1")(0, 1.0)
        nursery.cancel_scope.cancel()


async def test_marks_end_what_only_the_master_holds(autojump_clock: MockClock) -> None:
    """A logout at a proxy that does not know the session ends it at the others all the same."""
    async with open_fake_site(proxies=3) as site:
        one, two, three = site.proxies
        site.cut(1)
        session = one.login("10.0.0.1", user="alice")
        await one.wait_acknowledged(session)
        await trio.sleep(5)  # older than the clocks may differ
        assert two.logout("10.0.0.1") == ()
        site.heal()
        with trio.fail_after(5):
            await site.wait_equal()
        assert [proxy.lookup("10.0.0.1") for proxy in (one, two, three)] == [None] * 3

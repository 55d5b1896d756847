"""Who is let in by the file, and who is remembered as refused."""

import pytest

from authagent.admission import LATELY_S, REMEMBERED_MAX, Refusals, host_of, judge, unwanted
from protocol import configuration
from protocol.errors import Code
from protocol.handshake import Peer
from protocol.messages import Hello
from protocol.secret import Secrets, secret_id

FILE = configuration.parse(
    """
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
[[proxyagent]]
id = "squid-*"
site = "lan1"
host = "10.1.0.0/24"
[[proxyagent]]
id = "named"
site = "lan1"
host = "proxy.example"
[[authagent]]
id = 1
site = "lan3"
host = "10.3.0.11"
[[proxyagent]]
id = "nginx-*"
site = "lan3"
host = "10.3.0.0/24"
""",
    "f",
)


def hello(kind: str, id: str, site: str = "lan1") -> Hello:
    return Hello(
        version_min=1, version_max=1, kind=kind, site=site, id=id, incarnation=1, software="x", configuration=b"c" * 8,
        wall_ms=0, secret_id=b"s" * 4, mechanism="SCRAM-SHA-256", proof=b"",
    )  # fmt: skip


def verdict(kind: str, id: str, address: str = "10.1.0.5", site: str = "lan1", **more: tuple[str, ...]) -> Code | None:
    refusal = judge(hello(kind, id, site), address, FILE, "lan1", "1", **more)
    return None if refusal is None else Code(refusal.code)


def test_listed_nodes_are_let_in() -> None:
    """The other agent, a proxy by its pattern from its network, one by name from an address of that name."""
    assert verdict("agent", "2") is None
    assert verdict("proxy", "squid-7") is None
    assert host_of(hello("proxy", "named"), FILE) == "proxy.example"
    assert verdict("proxy", "named", "10.9.9.9", resolved=("10.9.9.9",)) is None


@pytest.mark.parametrize(
    ("kind", "id", "address", "site", "code"),
    [
        ("agent", "1", "10.1.0.5", "lan1", Code.DUPLICATE),
        ("agent", "3", "10.1.0.5", "lan1", Code.UNLISTED),
        ("agent", "squid-7", "10.1.0.5", "lan1", Code.UNLISTED),
        ("agent", "2", "10.3.0.5", "lan3", Code.UNLISTED),
        ("agent", "2", "10.1.0.5", "lan2", Code.WRONG_SITE),
        ("proxy", "other", "10.1.0.5", "lan1", Code.UNLISTED),
        ("proxy", "squid-7", "10.2.0.5", "lan1", Code.UNLISTED),
        ("proxy", "named", "10.9.9.9", "lan1", Code.UNLISTED),
        ("proxy", "squid-7", "10.1.0.5", "lan2", Code.WRONG_SITE),
        ("check", "other", "10.1.0.5", "lan1", Code.UNLISTED),
        ("king", "x", "10.1.0.5", "lan1", Code.PROTOCOL),
    ],
)
def test_a_node_may_speak_only_for_itself(kind: str, id: str, address: str, site: str, code: Code) -> None:
    """Each refusal has its own code."""
    assert verdict(kind, id, address, site) == code


def test_nobody_is_an_agent_because_proxies_may_have_any_id() -> None:
    """Of a kind that the file does not list for this id is nobody, whatever the patterns of the other kind say."""
    anybody = configuration.default("lan1")
    assert judge(hello("proxy", "3"), "10.1.0.5", anybody, "lan1", "1") is None
    refusal = judge(hello("agent", "3"), "10.1.0.5", anybody, "lan1", "1")
    assert refusal is not None and refusal.code == Code.UNLISTED


def test_a_proxy_of_another_site_is_let_in_where_the_file_lists_it() -> None:
    """[P-82] With its own site's entries: id, pattern and address; a site without agents is none that others know."""
    assert verdict("proxy", "nginx-1", "10.3.0.7", "lan3") is None
    assert verdict("proxy", "nginx-1", "10.1.0.7", "lan3") == Code.UNLISTED
    assert verdict("proxy", "squid-7", "10.3.0.7", "lan3") == Code.UNLISTED
    refusal = judge(hello("proxy", "new", "lan3"), "10.3.0.7", FILE, "lan1", "1")
    assert refusal is not None and 'add [[proxyagent]] id = "new", site = "lan3" to the file' in refusal.text


def test_who_only_asks_may_ask_as_anybody_listed_or_as_nobody() -> None:
    """`authagent check` comes from any machine."""
    assert verdict("check", "") is None
    assert verdict("check", "squid-7", "192.0.2.1") is None
    assert verdict("check", "2") is None


def test_a_refusal_says_what_to_add() -> None:
    """The line that is missing in the file, and that a reload is needed."""
    refusal = judge(hello("proxy", "new"), "10.1.0.5", FILE, "lan1", "1")
    assert refusal is not None
    assert 'add [[proxyagent]] id = "new" to the file, reload' in refusal.text


def test_refusals_are_remembered_while_they_knock() -> None:
    """The latest reason counts; silence, and being let in, end it; who only asks is not remembered."""
    refusals = Refusals()
    refusals.note("proxy", "lan1", "a", "10.0.0.1", "old", 1.0)
    refusals.note("proxy", "lan1", "a", "10.0.0.1", "new", 2.0)
    refusals.note("proxy", "lan1", "b", "10.0.0.2", "x", 2.0)
    refusals.note("check", "lan1", "c", "10.0.0.3", "x", 2.0)
    assert [(each.id, each.text) for each in refusals.lately(3.0)] == [("a", "new"), ("b", "x")]
    refusals.forget("proxy", "lan1", "b")
    assert [each.id for each in refusals.lately(3.0)] == ["a"]
    assert refusals.lately(2.0 + LATELY_S) == ()
    assert refusals.total == 4


def test_made_up_ids_do_not_pile_up() -> None:
    """Only the latest are kept."""
    refusals = Refusals()
    for number in range(3 * REMEMBERED_MAX):
        refusals.note("proxy", "lan1", f"p{number}", "10.0.0.1", "x", 1.0)
    kept = refusals.lately(1.0)
    assert (len(kept), kept[-1].id) == (REMEMBERED_MAX, f"p{3 * REMEMBERED_MAX - 1}")


@pytest.mark.parametrize(
    ("kind", "id", "line", "code"),
    [
        ("proxy", "named", "the new line", None),
        ("agent", "2", "the new line", None),
        ("agent", "2", "the dropped line", Code.SUPERSEDED),
        ("proxy", "gone", "the new line", Code.UNLISTED),
    ],
)
def test_after_a_reload_a_link_ends_that_could_not_be_made_any_more(
    kind: str, id: str, line: str, code: Code | None
) -> None:
    """Of a secret that was dropped, or a proxy that is no longer listed."""
    peer = Peer(kind, "lan1", id, 1, "x", b"c" * 8, "10.1.0.5:4711", 0, secret_id(line.encode()))
    verdict = unwanted(peer, Secrets(("the new line",)), FILE)
    assert (None if verdict is None else verdict[0]) == code

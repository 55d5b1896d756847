"""Reading BorderManager's auth.cfg: what it may look like, and what is told of a bad one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from authagent import auth_cfg
from protocol.mistakes import MistakesFound

WHOLE = b"""\
; made by hand
[proxy agents]
1=10.1.0.21
2=10.1.0.22
[auth]
ipport1=10.1.0.11:9023
ipport2=10.1.0.12:9023
[debug]
Level=1
File=/var/log/auth.log
"""


def wrong(content: bytes) -> list[str]:
    """Every mistake, as it is told."""
    with pytest.raises(MistakesFound) as raised:
        auth_cfg.parse(content, "auth.cfg")
    return [str(each) for each in raised.value.mistakes]


def test_a_whole_file_is_carried_over() -> None:
    """Agents with their ports, proxies by number, level and path."""
    found = auth_cfg.parse(WHOLE, "auth.cfg")

    assert found.agents == {1: ("10.1.0.11", 9023), 2: ("10.1.0.12", 9023)}
    assert found.proxies == {1: "10.1.0.21", 2: "10.1.0.22"}
    assert found.values == {("logging", "level"): "1", ("logging", "path"): '"/var/log/auth.log"'}
    assert found.remarks == list(auth_cfg.REMARKS)


def test_a_path_may_have_any_letter() -> None:
    """As it is, for TOML has no escape for half a letter, as JSON has beyond the first 65,536."""
    found = auth_cfg.parse(WHOLE.replace(b"auth.log", "\U0001d11e\"é".encode()), "auth.cfg")
    assert tomllib.loads(f"path = {found.values['logging', 'path']}") == {"path": "/var/log/\U0001d11e\"é"}


@pytest.mark.parametrize(
    "content",
    [
        WHOLE.replace(b"\n", b"\r\n"),
        WHOLE.upper().replace(b"/VAR/LOG/AUTH.LOG", b"/var/log/auth.log"),
        WHOLE.replace(b"=", b" = ").replace(b"[", b"[ ").replace(b"\n", b"   \n\n"),
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.replace(b"10.1.0.21", b"10.1.0.21 ; B\xfcro"),
        WHOLE.replace(b"10.1.0.11:9023", b"10.1.0.11"),
    ],
    ids=["dos", "capitals", "spaces", "mark", "latin-1", "no port"],
)
def test_the_same_file_may_look_otherwise(content: bytes) -> None:
    """Line ends, capitals, blanks, a byte order mark, comments of old code pages, the usual port left out."""
    assert auth_cfg.parse(content, "auth.cfg") == auth_cfg.parse(WHOLE, "auth.cfg")


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    """Each says what is wrong, and what would be right."""
    told = wrong(
        b"1=3\n[auht]\nipport1=1\n[auth]\nipport3=10.0.0.1:9\nfoo\nipport1=10.0.0.1:99999\nport=1\n[debug]\nLevel=7\n"
        b"Fiel=x\n[proxy agents]\nx=10.0.0.1\n1=10.0.0.1\n1=10.0.0.2\n2=10.0.0.1\n3=not a host\n"
    )
    assert [each.partition(":")[0] for each in told] == [
        "line 1", "line 2", "line 5", "line 6", "line 7", "line 8", "line 10", "line 11", "line 13", "line 15",
        "line 16", "line 17",
    ]  # fmt: skip
    for line, part in ((1, "did you mean auth?"), (3, "KEY=VALUE"), (4, "1 to 65535"), (7, "did you mean file?"),
                       (9, "after line 14"), (10, "proxy 1 already")):  # fmt: skip
        assert part in told[line]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "ipport1=ADDRESS:9023 is expected"),
        (b"[proxy agents]\n1=10.0.0.1\n", "ipport1=ADDRESS:9023 is expected"),
        (b"[auth]\nipport2=10.0.0.1:9023\n", "ipport1 is missing"),
        (b"[auth]\nipport1=10.0.0.1:9023\nipport2=10.0.0.1:9023\n", "the other agent is there already"),
        (b"[auth]\0", "no auth.cfg"),
        (b"x" * (auth_cfg.BYTES_MAX + 1), "no auth.cfg"),
    ],
)
def test_a_file_without_agents_is_none(content: bytes, part: str) -> None:
    """Nor is one with a gap, with one agent twice, or one that is no text."""
    (told,) = wrong(content)
    assert part in told


def test_two_agents_on_one_machine_have_two_ports() -> None:
    """As for a trial."""
    found = auth_cfg.parse(b"[auth]\nipport1=127.0.0.1:9023\nipport2=127.0.0.1:9024\n", "auth.cfg")
    assert found.agents == {1: ("127.0.0.1", 9023), 2: ("127.0.0.1", 9024)}


def test_what_has_no_place_is_said_and_no_mistake() -> None:
    """A path of NetWare, a section of another program; nothing in them can end a comment."""
    content = WHOLE.replace(b"/var/log", b"sys:\\etc\x07") + b"[cache\x1b]\nsize=5\nanything\n"
    found = auth_cfg.parse(content, "auth.cfg")
    assert ("logging", "path") not in found.values
    first, second = found.remarks[len(auth_cfg.REMARKS) :]
    assert "sys:" in first and "[cache?]" in second
    assert all(remark.isprintable() for remark in found.remarks)


@given(some.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Nothing else is raised, and what is taken has an agent."""
    try:
        found = auth_cfg.parse(content, "auth.cfg")
    except MistakesFound:
        return
    assert found.agents

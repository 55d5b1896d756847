"""Fields as squid writes them become keys."""

import pytest

from protocol.configuration import ClientSettings
from protocol.key import key
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid.fields import key_of, text


@pytest.mark.parametrize(
    ("kind", "question", "made"),
    [
        ("address", b"10.0.0.1 -", "10.0.0.1"),
        ("address", b"::ffff:10.0.0.1", "10.0.0.1"),
        ("address", b"fe80%3A%3A1 abc -", "fe80::1"),
        ("address", b"- -", None),
        ("address", b"", None),
        ("address", b"nonsense", None),
        ("cookie", b"10.0.0.1 abc -", key(cookie="abc")),
        ("cookie", b"- a%20b -", key(cookie="a b")),
        ("cookie", b"10.0.0.1 - -", None),
        ("cookie", b"10.0.0.1", None),
        ("both", b"10.0.0.1 abc -", key(address="10.0.0.1", cookie="abc")),
        ("both", b"10.0.0.1 - -", None),
        ("both", b"- abc -", None),
    ],
)
def test_a_client_gets_the_key_that_the_file_wants(kind: str, question: bytes, made: str | None) -> None:
    """Of address and cookie what [client] key says; None where that is missing, whatever squid adds behind."""
    of = key_of(ClientKeys(ClientSettings(key=kind)))  # type: ignore[arg-type]
    assert of(question.split(b" ")) == made
    assert of(question.split(b" ")) == made


def test_texts_are_unescaped() -> None:
    """UTF-8 where it is that, Latin-1 where it can be nothing else, None where squid has nothing to say."""
    assert text(b"J%C3%BCrgen") == text(b"J%FCrgen") == "Jürgen"
    assert text(b"a%zz%") == "a%zz%"
    assert text(b"-") is text(b"") is None

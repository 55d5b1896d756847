"""How TOML values become ours."""

from typing import Any

import attrs
import pytest

from protocol import settings


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (settings.text, "a", "a"),
        (settings.flag, True, True),
        (settings.whole(1, 5), 5, 5),
        (settings.duration(1, 100), "90s", 90.0),
        (settings.duration_or("drop", least_s=0, most_s=100), "drop", "drop"),
        (settings.duration_or("drop", least_s=0, most_s=100), "10s", 10.0),
        (settings.choice("a", "b"), "b", "b"),
        (settings.agent_id, 2, 2),
        (settings.name, "lan-1.x_y", "lan-1.x_y"),
        (settings.pattern, "squid-*", "squid-*"),
        (settings.optional_name, "", ""),
        (settings.host, "fd00::1", "fd00::1"),
        (settings.host, "agent.example", "agent.example"),
        (settings.optional_host, "", ""),
        (settings.origin, "10.1.0.0/24", "10.1.0.0/24"),
        (settings.origin, "", ""),
        (settings.listeners, ["0.0.0.0:9023", "[::]:9023"], ("0.0.0.0:9023", "[::]:9023")),
        (settings.socket_mode, "0660", 0o660),
        (settings.files(2), ["new.key", "/etc/old.key"], ("new.key", "/etc/old.key")),
        (settings.files(2), [], ()),
        (settings.names, ["lan2", "lan3"], ("lan2", "lan3")),
        (settings.cookie_name, "__Host-one.login", "__Host-one.login"),
        (settings.optional_door, "", ""),
        (settings.optional_door, "run/auth.sock", "run/auth.sock"),
        (settings.optional_door, "127.0.0.1:9081", "127.0.0.1:9081"),
        (settings.optional_page, "", ""),
        (settings.optional_page, "/login?from=auth", "/login?from=auth"),
        (settings.optional_page, "https://login.example.org/login", "https://login.example.org/login"),
    ],
)
def test_what_is_right_is_taken(form: settings.Form, value: Any, expected: Any) -> None:
    """Each form accepts what its key is for."""
    assert form(value) == expected


@pytest.mark.parametrize(
    ("form", "value", "says"),
    [
        (settings.text, 3, "a text is expected, not a whole number"),
        (settings.text, "a\nb", "control characters"),
        (settings.flag, "yes", "true or false is expected, not a text"),
        (settings.flag, 1, "true or false is expected"),
        (settings.whole(1, 5), 6, "out of bounds: 1 to 5"),
        (settings.whole(1, 5), "3", "a whole number is expected, not a text"),
        (settings.whole(1, 5), True, "a whole number is expected, not true or false"),
        (settings.whole(1, 5), 2.0, "a whole number is expected, not a number"),
        (settings.duration(1, 100), 30, 'needs its unit: "30s"'),
        (settings.duration(1, 100), "30", "write a number and its unit"),
        (settings.duration(60, 604_800), "30s", "out of bounds: 60s to 7d"),
        (settings.duration_or("drop", least_s=0, most_s=9), "dorp", '"drop", or a duration'),
        (settings.choice("auto", "off"), "of", "did you mean off?"),
        (settings.agent_id, 3, "agent ids are 1 and 2"),
        (settings.name, "", "1 to 64 characters"),
        (settings.name, "x" * 65, "1 to 64 characters"),
        (settings.name, "../etc", "letters, digits"),
        (settings.name, "a*", "letters, digits"),
        (settings.pattern, "squid-[0-9]", "in a pattern also"),
        (settings.host, "0.0.0.0", "listen ="),
        (settings.host, "::", "listen ="),
        (settings.host, "10.1.0.11:9023", "port = 9023"),
        (settings.host, "agent.example:9023", "port = 9023"),
        (settings.host, "10.1.0", "an address or a host name"),
        (settings.host, "", "an address or a host name"),
        (settings.origin, "10.1.0.0/33", "an address, a network"),
        (settings.listeners, "0.0.0.0:9023", "a list is expected, not a text"),
        (settings.listeners, ["0.0.0.0"], "HOST:PORT"),
        (settings.listeners, [9023], "a text is expected"),
        (settings.socket_mode, 0o600, 'as text, in octal digits: "0600"'),
        (settings.socket_mode, "0777", '"0600"'),
        (settings.socket_mode, "0060", '"0600"'),
        (settings.socket_mode, "rw-------", '"0600"'),
        (settings.files(2), ["a", "b", "c"], "up to 2 names of files"),
        (settings.names, ["lan2", "lan2"], "each name is expected once"),
        (settings.names, ["lan 2"], "a name"),
        (settings.files(2), ["a", "a"], "each once"),
        (settings.files(2), [""], "names of files"),
        (settings.files(2), "a", "a list is expected, not a text"),
        (settings.optional_listener, "9080", "HOST:PORT"),
        (settings.optional_listener, 9080, "a text is expected"),
        (settings.web_address, "ftp://a.test", "begins with http:// or https://"),
        (settings.web_address, "https://", "and a host"),
        (settings.web_address, "https://a.test:0/", "and a host"),
        (settings.web_address, "https://a.test:port/", "this is no address"),
        (settings.web_address, "https://u:p@a.test", "no user"),
        (settings.web_address, "https://a.test/#x", "no #fragment"),
        (settings.web_address, "https://a.test/" + "x" * 2_048, "at most 2048 characters"),
        (settings.optional_door, "auth.sock", "with a slash in it"),
        (settings.optional_door, 9081, "a text is expected"),
        (settings.optional_page, "//evil.test/", "one slash in front"),
        (settings.optional_page, "/\\evil.test/", "one slash in front"),
        (settings.optional_page, "/login#x", "no #fragment"),
        (settings.optional_page, "login", "begins with http:// or https://"),
        (settings.patterns_of("a.b", "a.c"), ["a.*", "b.*"], '"b.*" stands for nothing'),
        (settings.patterns_of("a.b"), "a.b", "a list is expected"),
        (settings.optional_secret, "password", "it is weak"),
        (settings.chosen, ["guest-*", "!"], "a pattern is expected"),
        (settings.chosen, [" "], "a pattern is expected"),
        (settings.chosen, "guest-*", "a list is expected"),
        (settings.chosen_networks, ["!10.1.0.0/16", "!lan1"], '"lan1": an address or a network'),
        (settings.cookie_name, "", "1 to 64"),
        (settings.cookie_name, "a=b", "1 to 64"),
        (settings.cookie_name, "x" * 65, "1 to 64"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_right(form: settings.Form, value: Any, says: str) -> None:
    """Each form refuses in one line that names what it wants."""
    with pytest.raises(ValueError, match=r".") as caught:
        form(value)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_defaults_are_written_as_the_file_would_have_them() -> None:
    """toml() writes a default so that its own form reads it back."""

    @attrs.frozen(kw_only=True)
    class Example:
        a_s: float = settings.setting(settings.duration(0, 100), "", default=90.0, key="a")
        b: bool = settings.setting(settings.flag, "", default=False)
        c: int = settings.setting(settings.whole(0, 2_000_000), "", default=1_000_000)
        d: int = settings.setting(settings.socket_mode, "", default=0o600)
        e: tuple[str, ...] = settings.setting(settings.listeners, "", default=())
        f: str = settings.setting(settings.text, "", default="x")
        g: str = settings.setting(settings.text, "")

    written = {settings.key_of(field): settings.toml(field) for field in attrs.fields(Example)}
    assert written == {"a": '"90s"', "b": "false", "c": "1_000_000", "d": '"0600"', "e": "[]", "f": '"x"', "g": ""}

"""How one setting of the file is declared, and how its TOML value becomes ours.

Rules of this file:

- A setting is declared once, in the class that holds it (protocol.configuration): default, form, and the sentence
  that explains it. The parser, the file that `authagent init` writes and docs/reference/config.md all read that.
- Nothing is converted in silence: `port = "9023"` is a mistake, not a port.
- A form is a function from the TOML value to ours. It raises ValueError in words that say what would be right.
"""

import fnmatch
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs

from protocol import addresses, durations, limits, mistakes, secret

Form = Callable[[Any], Any]

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def setting(
    form: Form, doc: str, *, default: Any = attrs.NOTHING, key: str = "", bounds: str = "", private: bool = False
) -> Any:
    """An attrs field that is read from the file under `key` (the field's own name when empty).

    `doc` is the sentence that explains it to an operator, `bounds` says in words what is accepted; what is `private`
    is in no repr.
    """
    told = {"form": form, "doc": doc, "key": key, "bounds": bounds}
    return attrs.field(default=default, repr=not private, metadata=told)


def key_of(field: "attrs.Attribute[Any]") -> str:
    """The name of a setting in the file."""
    return str(field.metadata["key"]) or field.name


def toml(field: "attrs.Attribute[Any]") -> str:
    """The default of a setting as it is written in the file; empty when it has none."""
    value = field.default
    if value is attrs.NOTHING:
        return ""
    if field.metadata["form"] is socket_mode:
        return f'"{value:04o}"'
    if isinstance(value, float):
        return f'"{durations.text(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if value % 1000 == 0 else str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    return f'"{value}"'


def _expect(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        found = _KINDS.get(type(value), "a date or time")
        raise ValueError(f"{_KINDS[kind]} is expected, not {found}")
    return value


def text(value: Any) -> str:
    """Any text without control characters."""
    plain = str(_expect(str, value))
    if any(ord(character) < 32 or ord(character) == 127 for character in plain):
        raise ValueError("control characters have no place here")
    return plain


def flag(value: Any) -> bool:
    """true or false."""
    return bool(_expect(bool, value))


def whole(least: int, most: int) -> Form:
    """A whole number within both bounds."""

    def form(value: Any) -> int:
        number = int(_expect(int, value))
        if not least <= number <= most:
            raise ValueError(f"{number} is out of bounds: {least:,} to {most:,}")
        return number

    return form


def agent_id(value: Any) -> int:
    """Which agent of a pair."""
    number = int(_expect(int, value))
    if number not in (1, 2):
        raise ValueError(f"{number}: agent ids are 1 and 2")
    return number


def duration(least_s: float, most_s: float) -> Form:
    """A duration within both bounds, in seconds."""

    def form(value: Any) -> float:
        if type(value) in (int, float):
            raise ValueError(f'a duration needs its unit: "{value}s", or "{value}m"')
        seconds = durations.parse(text(value))
        if not least_s <= seconds <= most_s:
            raise ValueError(f"out of bounds: {durations.text(least_s)} to {durations.text(most_s)}")
        return seconds

    return form


def choice(*words: str) -> Form:
    """One of a few words."""

    def form(value: Any) -> str:
        word = text(value)
        if word not in words:
            raise ValueError(f'"{word}" is not one of {mistakes.quoted(words)}; {mistakes.nearest(word, words)}')
        return word

    return form


def duration_or(*words: str, least_s: float, most_s: float) -> Form:
    """One of a few words, or a duration."""
    as_duration = duration(least_s, most_s)

    def form(value: Any) -> str | float:
        if type(value) is str and value in words:
            return str(value)
        try:
            return float(as_duration(value))
        except ValueError as error:
            raise ValueError(f"{mistakes.quoted(words)}, or a duration: {error}") from None

    return form


_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def _named(value: Any, what: str, more: str) -> str:
    name = text(value)
    if not name or len(name) > limits.NAME_BYTES_MAX:
        raise ValueError(f"{what} has 1 to {limits.NAME_BYTES_MAX} characters")
    if not set(name) <= _NAME_CHARACTERS | set(more) or name[0] in ".-_":
        also = f"; in a pattern also {' '.join(more)}" if more else ""
        raise ValueError(f"{what} is made of letters, digits, and . _ - inside{also}")
    return name


def name(value: Any) -> str:
    """The name of a site or the id of one proxy: it stands in file names, login ids and log lines."""
    return _named(value, "a name", "")


def pattern(value: Any) -> str:
    """A proxy id, or a pattern for many: `*` stands for any characters, `?` for one."""
    return _named(value, "an id", "*?")


def optional_name(value: Any) -> str:
    """A name, or nothing."""
    return "" if value == "" else name(value)


def names(value: Any) -> tuple[str, ...]:
    """A list of names, none of them twice."""
    given = tuple(name(each) for each in texts(value))
    if len(set(given)) < len(given):
        raise ValueError("each name is expected once")
    return given


def host(value: Any) -> str:
    """An address or a host name that others dial."""
    given = text(value)
    found = addresses.address(given)
    if found is not None and found.is_unspecified:
        raise ValueError(
            'this is what others dial, so it must name one machine; for every address set listen = [":9023"]'
        )
    if found is None and not addresses.is_name(given):
        with_port = ":" in given and addresses.is_name(given.rpartition(":")[0].replace(".", "a"))
        hint = "the port is a key of its own: port = 9023" if with_port else "an address or a host name is expected"
        raise ValueError(f'"{given}": {hint}')
    return given


def optional_host(value: Any) -> str:
    """A host, or nothing."""
    return "" if value == "" else host(value)


def origin(value: Any) -> str:
    """Where a proxy must come from: nothing, an address, a network or a name."""
    given = text(value)
    if given and addresses.network(given) is None and not addresses.is_name(given):
        raise ValueError(f'"{given}": an address, a network such as "10.1.0.0/24", or a host name is expected')
    return given


def files(most: int) -> Form:
    """A list of file names, none of them twice, at most so many."""

    def form(value: Any) -> tuple[str, ...]:
        names = texts(value)
        if len(set(names)) < len(names) or "" in names or len(names) > most:
            raise ValueError(f"up to {most} names of files are expected, each once")
        return names

    return form


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(each) for each in _expect(list, value))


def networks(value: Any) -> tuple[str, ...]:
    """A list of addresses and networks."""
    given = texts(value)
    for each in given:
        if addresses.network(each) is None:
            raise ValueError(f'"{each}": an address or a network such as "10.1.0.0/24" is expected')
    return given


def chosen(value: Any) -> tuple[str, ...]:
    """A list of patterns, of which those that begin with `!` exclude and the others include."""
    given = texts(value)
    if not all(each.removeprefix("!").strip() for each in given):
        raise ValueError('a pattern is expected, such as "guest-*", or one that excludes, such as "!guest-*"')
    return given


def chosen_networks(value: Any) -> tuple[str, ...]:
    """A list of addresses and networks, likewise."""
    given = texts(value)
    networks([each.removeprefix("!") for each in given])
    return given


_COOKIE_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+.^_`|~-")


def cookie_name(value: Any) -> str:
    """The name of a cookie: a token of RFC 6265."""
    name = text(value)
    if not 0 < len(name) <= limits.COOKIE_NAME_BYTES_MAX or not set(name) <= _COOKIE_NAME_CHARACTERS:
        most = limits.COOKIE_NAME_BYTES_MAX
        raise ValueError(f"the name of a cookie has 1 to {most} letters, digits and signs such as - and _")
    return name


def listeners(value: Any) -> tuple[str, ...]:
    """A list of HOST:PORT."""
    for each in _expect(list, value):
        addresses.split(text(each))
    return tuple(value)


def optional_listener(value: Any) -> str:
    """HOST:PORT, or nothing."""
    given = text(value)
    if given:
        addresses.split(given)
    return given


def optional_door(value: Any) -> str:
    """The path of a Unix socket, which has a slash, or HOST:PORT; or nothing."""
    given = text(value)
    if not given or "/" in given:
        return given
    try:
        return optional_listener(given)
    except ValueError as error:
        raise ValueError(f"{error}; or the path of a Unix socket, with a slash in it") from None


def web_address(value: Any) -> str:
    """An address that a POST can go to. What is wrong is said without the address, which may hold a password."""
    given = text(value)
    try:
        found = urlsplit(given)
        port = found.port
    except ValueError:
        raise ValueError("this is no address; write https://HOST/PATH") from None
    if found.scheme not in ("http", "https") or not found.hostname or port == 0:
        raise ValueError("an address begins with http:// or https:// and a host")
    if found.username is not None or found.fragment or not given.isascii() or " " in given:
        raise ValueError("an address has no user, no #fragment, no blanks and only ASCII characters")
    if len(given) > limits.WEB_ADDRESS_BYTES_MAX:
        raise ValueError(f"an address has at most {limits.WEB_ADDRESS_BYTES_MAX} characters")
    return given


def optional_page(value: Any) -> str:
    """Where a browser is sent: a path on the host that it asked for, or an address; or nothing."""
    given = text(value)
    if not given.startswith("/"):
        return web_address(given) if given else ""
    if given.startswith("//") or "\\" in given or "#" in given or " " in given or not given.isascii():
        raise ValueError("a path has one slash in front, no #fragment, no blanks and only ASCII characters")
    return given


def patterns_of(*words: str) -> Form:
    """A list of patterns, each of which stands for one of these words at least."""

    def form(value: Any) -> tuple[str, ...]:
        given = texts(value)
        for each in given:
            if not any(fnmatch.fnmatchcase(word, each) for word in words):
                raise ValueError(f'"{each}" stands for nothing; {mistakes.nearest(each, words)}')
        return given

    return form


def optional_secret(value: Any) -> str:
    """A secret in one line that is not weak, or nothing; it is in no error."""
    given = text(value)
    weak = secret.weakness(given.encode()) if given else None
    if weak is not None:
        raise ValueError(f"it is weak: {weak}")
    return given


def socket_mode(value: Any) -> int:
    """File permissions in octal digits, as text."""
    if type(value) is int:
        raise ValueError('write it as text, in octal digits: "0600"')
    digits = text(value)
    mode = int(digits, 8) if digits.isascii() and digits.isdigit() and set(digits) <= set("01234567") else -1
    if mode < 0 or mode & ~0o666 or mode & 0o600 != 0o600:
        raise ValueError('permissions of a socket are "0600", "0660" or "0666"')
    return mode

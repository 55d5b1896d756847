"""HTML and SVG as values: elements with attributes, where every text is escaped because there is no other way. Pure.

Rules of this file:

- A `str` is text and is escaped; only what `element` returned is Markup. Nobody else makes one.
- None and False leave an attribute out, True leaves it bare. Numbers are written as short as they can be.
- Names of users, keys and peers come through here: characters that steer (U+202E and its like) are shown as boxes.
"""

import html
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, Union

import attrs

VOID: Final = frozenset({"circle", "input", "line", "link", "meta", "path", "polygon", "polyline", "rect"})
"""Elements without content, as they are used here; SVG's are closed by a slash."""

_UNSAFE: Final = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\ufffd"),
    **dict.fromkeys((0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
    0x09: " ", 0x0A: " ",
}  # fmt: skip


@attrs.frozen
class Markup:
    """Text that is HTML already."""

    text: str

    def __str__(self) -> str:
        return self.text


Child: TypeAlias = Union[str, Markup, "Iterable[Child]", None]
Value: TypeAlias = str | float | bool | None


def element(tag: str, attributes: Mapping[str, Value] | None = None, *children: Child) -> Markup:
    """One element. A tag may bear its classes: `element("p.price")`."""
    name, *classes = tag.split(".")
    given = {"class": " ".join(classes) or None, **(attributes or {})}
    written = "".join(_attribute(key, value) for key, value in given.items())
    if name in VOID:
        assert not children, f"<{name}> holds nothing"
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{together(children)}</{name}>")


def together(children: Iterable[Child]) -> Markup:
    """Elements and texts, one after the other."""
    return Markup("".join(map(_written, children)))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child.text
    if isinstance(child, str):
        return html.escape(child.translate(_UNSAFE), quote=False)
    return together(child).text


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(text.translate(_UNSAFE))}"'

"""The tables of docs/reference/protocol.md, made from the code: the document must hold exactly these lines."""

import attrs

from protocol import messages
from protocol.errors import Code
from protocol.messages import Message, Role
from protocol.session import State

NAMES = {int: "uint", str: "text", bytes: "bytes", bool: "bool"}


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _type(annotation: object) -> str:
    text = NAMES.get(annotation, str(annotation)) if isinstance(annotation, type) else str(annotation)
    for kind, name in NAMES.items():
        text = text.replace(f"tuple[{kind.__name__}, ...]", f"array of {name}")
        text = text.replace(f"{kind.__name__} | None", f"{name} or nil")
    return text


def _field(field: "attrs.Attribute[object]") -> str:
    default = "" if field.default is attrs.NOTHING else f" = {field.default!r}".lower().replace("''", '""')
    return f"`{field.name}` {_type(field.type)}{default}"


def message_table() -> list[str]:
    """Every message: its number, its name and its fields in the order of the wire."""

    def fields(message: type[Message]) -> str:
        return ", ".join(_field(field) for field in attrs.fields(message))

    head = [_row("number", "message", "fields"), _row("---", "---", "---")]
    return head + [_row(each.number, each.__name__, fields(each)) for each in messages.ALL]


def enum_table(head: str, members: type[Code] | type[Role] | type[State]) -> list[str]:
    """The numbers and names of an enum: the first two cells of each row of its table."""
    return [_row("number", head)[:-2], _row("---", "---")[:-2]] + [
        _row(int(member), member.name)[:-2] for member in members
    ]


if __name__ == "__main__":
    for table in (
        message_table(),
        enum_table("code", Code),
        enum_table("role", Role),
        enum_table("state", State),
    ):
        print("\n".join(table), end="\n\n")

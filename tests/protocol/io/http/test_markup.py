"""HTML as values: whatever a user is called, it stays text."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from protocol.io.http.markup import element, together


class Reader(HTMLParser):
    """What a browser finds: tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text())
def test_a_text_never_becomes_a_tag_or_an_attribute(text: str) -> None:
    """In content and in attributes."""
    reader = read(element("p", {"title": text}, text).text)
    assert reader.tags == ["p"]
    assert len(reader.values) == 1


def test_classes_attributes_and_children() -> None:
    """None and False leave out, True stands bare, numbers are short, lists are unfolded."""
    given = {"id": "x", "hidden": True, "title": None, "lang": False, "width": 2.50}
    made = element("p.a.b", given, "1<2", ["&", None])
    assert made.text == '<p class="a b" id="x" hidden width="2.5">1&lt;2&amp;</p>'
    assert together([made, element("circle", {"r": 4})]).text.endswith('<circle r="4"/>')


def test_characters_that_steer_are_shown_as_boxes() -> None:
    """A user name cannot turn the direction of the line, nor hold a control character."""
    assert element("p", None, "a\u202eb\x00c\x9bd\u2066").text == "<p>a\ufffdb\ufffdc\ufffdd\ufffd</p>"
    assert element("p", {"title": "a\u202eb"}).text == '<p title="a\ufffdb"></p>'

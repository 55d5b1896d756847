"""The picture of a site (DESIGN section 1) as SVG: users, proxies, the two agents, other sites. Pure.

Rules of this file:

- Two forms of one picture: a wide one, and a narrow one whose letters can be read on a phone. CSS shows one of them.
- Every element that may change has a `data-id`, and keeps it: so the open page moves a link to the new master instead
  of drawing another picture.
- Colours, dashes and fonts are the style sheet's; here are places and classes. No colour stands alone: each health has
  its own mark and its words.
- It is hidden from those who hear the page; they get view.in_words.
"""

from collections.abc import Iterator, Sequence

import attrs

from authagent.admin import view as seen
from authagent.admin.view import AgentSeen, Follower, Health, View
from protocol.io.http.markup import Markup, Value, element


@attrs.frozen(kw_only=True)
class Form:
    """The measures of one form, in units of the picture."""

    name: str
    width: float
    columns: int
    box_width: float
    letters_max: int
    agent_width: float
    between: float
    fall: float
    """From the lowest proxies to the agents."""


WIDE = Form(name="wide", width=960, columns=8, box_width=104, letters_max=13, agent_width=232, between=190, fall=92)
NARROW = Form(name="narrow", width=360, columns=3, box_width=100, letters_max=12, agent_width=132, between=52, fall=72)

_MARGIN = 14.0
_SWITCH_TOP = 46.0
_SWITCH_HEIGHT = 30.0
_PROXIES_TOP = 104.0
_BOX_HEIGHT = 50.0
_GAP = 12.0
_AGENT_HEIGHT = 86.0
_SITE_GAP = 58.0


def pictures(view: View) -> list[Markup]:
    """Both forms of the picture."""
    return [_Drawing(view, form).svg() for form in (WIDE, NARROW)]


class _Drawing:
    """One form of one view, with the places of everything."""

    def __init__(self, view: View, form: Form) -> None:
        self.view, self.form = view, form
        self.boxes = _boxes(view)
        self.rows = max(1, -(-len(self.boxes) // form.columns))
        self.agents_top = _PROXIES_TOP + self.rows * (_BOX_HEIGHT + _GAP) - _GAP + form.fall
        self.frame_bottom = self.agents_top + _AGENT_HEIGHT + 20
        self.remotes_top = self.frame_bottom + _SITE_GAP
        remote_rows = -(-len(view.remotes) // form.columns)
        self.height = self.remotes_top + remote_rows * (_BOX_HEIGHT + _GAP) if view.remotes else self.frame_bottom + 1

    def svg(self) -> Markup:
        """The whole."""
        given: dict[str, Value] = {"viewBox": f"0 0 {self.form.width:g} {self.height:g}", "aria-hidden": "true"}
        name = f"svg.picture.picture-{self.form.name}"
        links = element("g.links", {"data-id": "links"}, list(self._links()))
        return element(name, given, self._frame(), links, list(self._nodes()))

    # -- places ------------------------------------------------------------------------------------------------------

    def _middle(self, index: int, count: int) -> tuple[float, int]:
        """The middle of a box of a grid, and its row; the boxes of each row are centred."""
        row, column = divmod(index, self.form.columns)
        in_row = min(self.form.columns, count - row * self.form.columns)
        step = self.form.box_width + _GAP
        return self.form.width / 2 + (column - (in_row - 1) / 2) * step, row

    def _agent_middle(self, agent: AgentSeen) -> float:
        index, count = self.view.agents.index(agent), len(self.view.agents)
        return self.form.width / 2 + (index - (count - 1) / 2) * (self.form.agent_width + self.form.between)

    # -- what stands still -------------------------------------------------------------------------------------------

    def _frame(self) -> list[Markup]:
        width = self.form.width
        switch: dict[str, Value] = {"x": _MARGIN, "y": _SWITCH_TOP, "width": width - 2 * _MARGIN}
        frame: dict[str, Value] = {"x": 1.0, "y": 1.0, "width": width - 2, "height": self.frame_bottom - 2, "rx": 18}
        return [
            element("rect.site", frame) if self.view.remotes else element("rect.site.alone", frame),
            _text("site-name", _MARGIN + 4, 31, f"site {_short(self.view.site, 30)}"),
            _text("site-count", width - _MARGIN - 4, 31, _counted(self.view.proxies_total)),
            element("rect.switch", {**switch, "height": _SWITCH_HEIGHT, "rx": _SWITCH_HEIGHT / 2}),
            _text("switch-name", width / 2, _SWITCH_TOP + 20, "users → L4 switch"),
        ]

    # -- links -------------------------------------------------------------------------------------------------------

    def _links(self) -> Iterator[Markup]:
        master = self.view.master
        end = master or (self.view.agents[0] if self.view.agents else None)
        for index, box in enumerate(self.boxes):
            middle, row = self._middle(index, len(self.boxes))
            top = _PROXIES_TOP + row * (_BOX_HEIGHT + _GAP)
            yield element("line.wire", {"x1": middle, "y1": _SWITCH_TOP + _SWITCH_HEIGHT, "x2": middle, "y2": top,
                                        "data-id": f"wire-{box.id}"})  # fmt: skip
            if end is not None:
                state = box.health.state if master is not None else seen.GONE
                yield self._way(f"link-{box.id}", state, middle + (row - (self.rows - 1) / 2) * 5, top, end)
        yield from self._between()
        if end is not None:
            for index, remote in enumerate(self.view.remotes):
                middle, row = self._middle(index, len(self.view.remotes))
                below = self.remotes_top + row * (_BOX_HEIGHT + _GAP)
                yield self._wan(remote, middle, below, self._agent_middle(end))

    def _way(self, name: str, state: str, x: float, top: float, agent: AgentSeen) -> Markup:
        """From a proxy down, behind those below it, to the agent that serves it; the order of all stays the same."""
        arrival = (x - self.form.width / 2) / self.form.width * self.form.agent_width * 0.8
        end_x, end_y = self._agent_middle(agent) + arrival, self.agents_top
        start_y, free_y = top + _BOX_HEIGHT, self.agents_top - self.form.fall
        bend = self.form.fall * 0.55
        way = f"M{x:g} {start_y:g}V{free_y:g}C{x:g} {free_y + bend:g} {end_x:g} {end_y - bend:g} {end_x:g} {end_y:g}"
        return element(f"path.link.is-{state}", {"d": way, "data-id": name})

    def _wan(self, remote: Follower, x: float, y: float, start_x: float) -> Markup:
        start_y, bend = self.agents_top + _AGENT_HEIGHT, (y - self.agents_top - _AGENT_HEIGHT) * 0.6
        way = f"M{start_x:g} {start_y:g}C{start_x:g} {start_y + bend:g} {x:g} {y - bend:g} {x:g} {y:g}"
        return element(f"path.link.wan.is-{remote.health.state}", {"d": way, "data-id": f"wan-{remote.id}"})

    def _between(self) -> Iterator[Markup]:
        health = self.view.between
        if health is None or len(self.view.agents) < 2:
            return
        left, right = (self._agent_middle(each) for each in self.view.agents)
        start, end = left + self.form.agent_width / 2, right - self.form.agent_width / 2
        middle = self.agents_top + _AGENT_HEIGHT / 2
        for side in (-3, 3):
            way: dict[str, Value] = {"x1": start, "y1": middle + side, "x2": end, "y2": middle + side}
            yield element(f"line.link.between.is-{health.state}", {**way, "data-id": f"between{side}"})
        if self.form is WIDE or health.state != seen.EQUAL:
            words = "both serve" if self.view.split and health.state != seen.GONE else health.words
            place = middle - 12 if self.form is WIDE else self.agents_top - 10
            yield _text("between-words", (start + end) / 2, place, words)

    # -- boxes -------------------------------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[Markup]:
        for index, box in enumerate(self.boxes):
            middle, row = self._middle(index, len(self.boxes))
            yield self._box("proxy", box, middle, _PROXIES_TOP + row * (_BOX_HEIGHT + _GAP))
        for agent in self.view.agents:
            yield self._agent(agent)
        for index, remote in enumerate(self.view.remotes):
            middle, row = self._middle(index, len(self.view.remotes))
            yield self._box("remote", remote, middle, self.remotes_top + row * (_BOX_HEIGHT + _GAP))

    def _box(self, kind: str, node: Follower, middle: float, top: float) -> Markup:
        left, state = middle - self.form.box_width / 2, node.health.state
        size: dict[str, Value] = {"x": left, "y": top, "width": self.form.box_width, "height": _BOX_HEIGHT, "rx": 10}
        return element(
            f"g.node.{kind}.is-{state}",
            {"data-id": f"{kind}-{node.id}"},
            element("rect", size),
            _text("name", left + 12, top + 21, _short(node.id, self.form.letters_max)),
            _mark(state, left + 16, top + 35),
            _text("words", left + 26, top + 39, node.health.words),
        )

    def _agent(self, agent: AgentSeen) -> Markup:
        width = self.form.agent_width
        left, top = self._agent_middle(agent) - width / 2, self.agents_top
        size: dict[str, Value] = {"x": left, "y": top, "width": width, "height": _AGENT_HEIGHT, "rx": 14}
        role = "no answer" if agent.role == "away" else agent.role
        term = f"term {agent.term}" if agent.term is not None and agent.role == "master" else _WHY.get(agent.role, "")
        name = f"agent {agent.id}"
        return element(
            f"g.node.agent.role-{agent.role}",
            {"data-id": f"agent-{agent.id}"},
            element("rect", size),
            _text("name", left + 18, top + 25, f"{name} · this page" if agent.here and self.form is WIDE else name),
            _text("role", left + 18, top + 52, role),
            _text("words", left + 18, top + 71, term),
        )


_WHY = {"slave": "stands by", "starting": "looks for its partner", "away": "its partner goes on"}


def _boxes(view: View) -> Sequence[Follower]:
    """The proxies, and one box for those that do not fit, as bad as the worst of them."""
    hidden = sum(view.unshown)
    if not hidden:
        return view.proxies
    worst = max(index for index, count in enumerate(view.unshown) if count)
    words = "all equal" if seen.HEALTHS[worst] == seen.EQUAL else f"{view.unshown[worst]:,} {seen.HEALTHS[worst]}"
    return (*view.proxies, Follower(id=f"+ {hidden:,} more", health=Health(state=seen.HEALTHS[worst], words=words)))


def _mark(state: str, x: float, y: float) -> Markup:
    """A full dot, a ring, or a cross: told apart without colours."""
    if state == seen.GONE:
        return element("path.mark", {"d": f"M{x - 3.5:g} {y - 3.5:g}l7 7m0 -7l-7 7"})
    return element("circle.mark", {"cx": x, "cy": y, "r": 4})


def _text(name: str, x: float, y: float, words: str) -> Markup:
    return element(f"text.{name}", {"x": x, "y": y}, words)


def _short(name: str, letters_max: int) -> str:
    return name if len(name) <= letters_max else f"{name[: letters_max - 1]}…"


def _counted(proxies: int) -> str:
    return f"{proxies:,} {'proxy' if proxies == 1 else 'proxies'}"

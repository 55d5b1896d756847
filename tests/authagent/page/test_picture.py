"""The picture: everything in it, in its place, in both forms, and nothing outside."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from authagent.admin.view import view_of
from authagent.page.picture import NARROW, WIDE, pictures
from tests.authagent.admin.test_view import link, many, status


def drawn(**more: Any) -> list[ET.Element]:
    """Both forms, read as XML."""
    return [ET.fromstring(each.text) for each in pictures(view_of(status(**more)))]


def ids(picture: ET.Element) -> list[str]:
    return [each.attrib["data-id"] for each in picture.iter() if "data-id" in each.attrib]


def classes(picture: ET.Element, name: str) -> str:
    (found,) = [each for each in picture.iter() if each.attrib.get("data-id") == name]
    return found.attrib["class"]


def test_everything_is_in_both_forms() -> None:
    """Agents, proxies, sites and every link, each with a name of its own."""
    for picture in drawn(proxies=many(7), remotes=[{"site": "lan2", **link(connected=False)}]):
        found = ids(picture)
        assert len(found) == len(set(found))
        wanted = {"agent-1", "agent-2", "between-3", "between3", "remote-lan2", "wan-lan2"}
        wanted |= {f"{kind}-p{number}" for number in range(1, 8) for kind in ("proxy", "link", "wire")}
        assert wanted < set(found)


@pytest.mark.parametrize("count", [0, 1, 3, 8, 24, 25, 2_000])
def test_nothing_stands_outside(count: int) -> None:
    """However many proxies there are; and no two boxes lie on each other."""
    for picture in drawn(proxies=many(count)):
        width, height = (float(each) for each in picture.attrib["viewBox"].split()[2:])
        rects = [each for node in picture.iter("g") for each in node.findall("rect")]
        boxes = [tuple(float(each.attrib[name]) for name in ("x", "y", "width", "height")) for each in rects]
        for x, y, w, h in boxes:
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for index, (x, y, w, h) in enumerate(boxes):
            for other_x, other_y, other_w, other_h in boxes[:index]:
                assert x >= other_x + other_w or other_x >= x + w or y >= other_y + other_h or other_y >= y + h


def test_links_lead_to_whoever_serves() -> None:
    """After a failover the same links end at the other agent: a browser moves them."""

    def ends(role: str) -> list[float]:
        wide = drawn(role=role)[0]
        (way,) = [each.attrib["d"] for each in wide.iter() if each.attrib.get("data-id") == "link-p1"]
        return [float(each) for each in re.findall(r"-?[\d.]+", way)][-2:]

    left, right = ends("master"), ends("slave")
    assert left[0] < WIDE.width / 2 < right[0]
    assert left[1] == right[1]


def test_health_is_in_classes_marks_and_words() -> None:
    """A proxy that is gone is told from one that is equal without its colour."""
    proxies = [*many(1), {"id": "squid-7", "lag_events": None, **link(connected=False)}]
    for picture in drawn(proxies=proxies):
        assert "is-equal" in classes(picture, "proxy-p1") and "is-gone" in classes(picture, "proxy-squid-7")
        texts = "".join(picture.itertext())
        assert "equal" in texts and "not linked" in texts
        marks = [each.tag for each in picture.iter() if each.attrib.get("class") == "mark"]
        assert sorted(marks) == ["circle", "path"]


def test_without_a_master_no_proxy_is_served() -> None:
    """Two agents that look for each other."""
    for picture in drawn(role="starting", partner={"id": "2", "role": None, **link(connected=False)}):
        assert "is-gone" in classes(picture, "link-p1")


def test_a_single_agent_stands_in_the_middle() -> None:
    """And has no link to anybody like it."""
    for picture, form in zip(drawn(partner=None), (WIDE, NARROW), strict=True):
        (agent,) = [each for each in picture.iter("g") if each.attrib.get("data-id") == "agent-1"]
        rect = agent.find("rect")
        assert rect is not None
        assert float(rect.attrib["x"]) * 2 + float(rect.attrib["width"]) == form.width
        assert not [each for each in ids(picture) if each.startswith("between")]


def test_a_name_of_64_letters_is_cut() -> None:
    """A box keeps its width; the whole name is said in words."""
    for picture in drawn(proxies=[{"id": "x" * 64, "lag_events": 0, **link()}]):
        assert not [text for text in picture.itertext() if len(text) > 30]

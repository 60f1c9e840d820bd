"""Labelled points: where they are drawn, and which labels are left out."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from tinyq.support.plot.scatter import Point, draw_scatter

SPACE = "{http://www.w3.org/2000/svg}"


def draw(points, **options):
    return ElementTree.fromstring(draw_scatter("title <1>", points, {"float": 91.0}, **options))


def circles(image):
    found = {}
    for circle in image.iter(f"{SPACE}circle"):
        for title in circle.iter(f"{SPACE}title"):
            name = re.split(":", title.text)[0]
            found[name] = float(circle.get("cx")), float(circle.get("cy"))
    return found


def texts(image):
    return [text.text for text in image.iter(f"{SPACE}text")]


def test_more_is_to_the_right_and_upwards():
    places = circles(
        draw(
            [Point("a", 1000.0, 80.0, "x"), Point("b", 2000.0, 85.0, "y"), Point("c", 4e3, 90, "x")]
        )
    )
    (xa, ya), (xb, yb), (xc, yc) = (places[name] for name in "abc")
    assert xa < xb < xc and ya > yb > yc
    assert abs((xb - xa) - (xc - xb)) < 0.2  # equal quotients, equal distances


def test_a_point_below_the_lowest_stands_at_the_edge_with_its_height():
    points = [Point("good", 1000.0, 90.0, "x"), Point("poor", 2000.0, 10.0, "x")]
    image = draw(points, lowest=85.0)
    assert "poor (10.0)" in texts(image)
    low = circles(draw([points[0], Point("poor (10.0)", 2000.0, 85.0, "x")]))
    assert circles(image)["poor (10.0)"] == low["poor (10.0)"]


def test_a_label_that_would_cover_another_is_left_to_the_tooltip():
    image = draw([Point("one", 1000.0, 90.0, "x"), Point("two", 1001.0, 90.0, "x")])
    assert "one" in texts(image) and "two" not in texts(image)
    assert set(circles(image)) == {"one", "two"}

"""The box around what annotators draw: polygons, circles, ellipses, turned rectangles. Pixels, or whatever
is given."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vrft_aug.nouns import Box

Point = tuple[float, float]


def around(points: Sequence[Point], label: str | None) -> Box:
    """The box around points; ValueError for fewer than two, or where a value is not finite."""
    if len(points) < 2 or not all(math.isfinite(value) for point in points for value in point):
        raise ValueError(f"{len(points)} points, expected at least two, all finite")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(min(xs), min(ys), max(xs), max(ys), label)


def around_circle(centre: Point, radius: float, label: str | None) -> Box:
    """The box around a circle."""
    return around_ellipse(centre, radius, radius, 0.0, label)


def around_ellipse(centre: Point, rx: float, ry: float, degrees: float, label: str | None) -> Box:
    """The box around an ellipse with half axes rx and ry, turned by an angle."""
    if not (rx > 0 and ry > 0):
        return Box(
            centre[0], centre[1], centre[0], centre[1], label
        )  # empty, which the reader refuses with its place
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width, half_height = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    (x, y) = centre
    return around([(x - half_width, y - half_height), (x + half_width, y + half_height)], label)


def around_turned(corner: Point, width: float, height: float, degrees: float, label: str | None) -> Box:
    """The box around a rectangle that is turned clockwise about its top left corner."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    (x, y) = corner
    across, down = (width * cos, width * sin), (-height * sin, height * cos)
    points = [(x, y), (x + across[0], y + across[1]), (x + down[0], y + down[1])]
    points.append((x + across[0] + down[0], y + across[1] + down[1]))
    return around(points, label)

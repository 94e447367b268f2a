"""Procedural fundus photographs: background, disc, vessels and lesions with exact boxes and a grade.

The grade follows the order of the International Clinical Diabetic Retinopathy severity scale (Wilkinson
et al., Ophthalmology 2003), with "haemorrhages in all four quadrants" standing for the 4-2-1 rule. The
pictures are for software development; they are not a model of disease.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vrft_aug.data.procedural.scene import SCALE, SIZE, Finding, Scene, clip_box, finish, smooth_noise

LESIONS = ("microaneurysms", "haemorrhages", "hard exudates", "cotton wool spots", "new vessels")
DISC = "optic disc"
GRADES = ("none", "mild", "moderate", "severe", "proliferative")
Point = tuple[float, float]


def grade_of(findings: Iterable[Finding], size: tuple[int, int] = (SIZE, SIZE)) -> int:
    """The grade 0-4 that follows from the lesions of a picture of (width, height) pixels."""
    findings = tuple(findings)
    kinds = {finding.kind for finding in findings}
    if "new vessels" in kinds:
        return 4
    if haemorrhage_quadrants(findings, size) == 4:
        return 3
    if kinds & {"haemorrhages", "hard exudates", "cotton wool spots"}:
        return 2
    return 1 if "microaneurysms" in kinds else 0


def haemorrhage_quadrants(findings: Iterable[Finding], size: tuple[int, int] = (SIZE, SIZE)) -> int:
    """In how many quadrants (0-4) of the picture a haemorrhage has its centre."""
    width, height = size
    return len(
        {
            (box[0] + box[2] > width, box[1] + box[3] > height)
            for kind, box in findings
            if kind == "haemorrhages"
        }
    )


def sample_fundus(rng: np.random.Generator, size: tuple[int, int] = (SIZE, SIZE)) -> Scene:
    """A picture whose grade was drawn evenly, of (width, height) pixels."""
    grade = int(rng.integers(5))
    lesions: set[str] = set()
    if grade >= 1 and (grade == 1 or rng.random() < 0.7):
        lesions.add("microaneurysms")
    if grade == 2:
        usual = [k for k in ("haemorrhages", "hard exudates", "cotton wool spots") if rng.random() < 0.5]
        lesions.update(usual or [str(rng.choice(["haemorrhages", "hard exudates", "cotton wool spots"]))])
    if grade >= 3:
        lesions.update(k for k in ("hard exudates", "cotton wool spots") if rng.random() < 0.4)
    four_quadrants = grade == 3
    if four_quadrants or (grade == 4 and rng.random() < 0.5):
        lesions.add("haemorrhages")
        four_quadrants = four_quadrants or rng.random() < 0.3
    if grade == 4:
        lesions.add("new vessels")
    return draw_fundus(rng, lesions, four_quadrants, size)


def draw_fundus(
    rng: np.random.Generator,
    lesions: Collection[str],
    four_quadrants: bool = False,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Scene:
    """A picture with the named lesions; haemorrhages in one to three quadrants, or in all four."""
    return _Fundus(rng, size).draw(lesions, four_quadrants)


class _Fundus:
    """One drawing in progress; all lengths in pixels of the finished image."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]):
        self.rng, self.size = rng, size
        side = (size[0] + size[1]) / 2  # a wide picture shows a field that is cut above and below
        self.unit = side / 112.0
        self.centre = (size[0] / 2, size[1] / 2)
        self.radius = side * rng.uniform(0.48, 0.56)
        self.findings: list[Finding] = []
        self.taken: list[tuple[float, float, float]] = []  # x, y, radius of what must not be covered
        self.canvas = self._background()
        self.pen = ImageDraw.Draw(self.canvas)

    def draw(self, lesions: Collection[str], four_quadrants: bool) -> Scene:
        disc = self._disc_and_vessels()
        if "new vessels" in lesions:
            self._new_vessels(disc)
        if "cotton wool spots" in lesions:
            for _ in range(int(self.rng.integers(1, 4))):
                self._cotton_wool_spot()
        if "haemorrhages" in lesions:
            self._haemorrhages(four_quadrants)
        if "hard exudates" in lesions:
            for _ in range(int(self.rng.integers(1, 3))):
                self._exudates()
        if "microaneurysms" in lesions:
            for _ in range(int(self.rng.integers(3, 8))):
                self._microaneurysm()
        image = finish(self._vignette(), self.rng, self.size, noise=float(self.rng.uniform(1, 5)))
        return Scene(image, tuple(self.findings))

    def _background(self) -> Image.Image:
        width, height = self.size
        red = self.rng.uniform(165, 225)
        base = np.array([red, red * self.rng.uniform(0.42, 0.58), red * self.rng.uniform(0.12, 0.3)])
        grain = (
            1
            + 0.05 * smooth_noise(self.rng, width, height, 5)
            + 0.02 * smooth_noise(self.rng, width, height, 14)
        )
        small = np.clip(base * grain[..., None], 0, 255).astype(np.uint8)
        return Image.fromarray(small).resize((width * SCALE, height * SCALE), Image.Resampling.BILINEAR)

    def _vignette(self) -> Image.Image:
        """Black outside the round field, darker towards its rim."""
        width, height = self.canvas.size
        y, x = np.ogrid[:height, :width]
        distance = np.hypot(x / SCALE - self.centre[0], y / SCALE - self.centre[1]) / self.radius
        light = np.where(distance < 1, 1 - 0.35 * distance**2, 0.03)
        light = light * (1 + 0.15 * self.rng.normal() * (x / width - 0.5))
        return Image.fromarray(np.clip(np.asarray(self.canvas) * light[..., None], 0, 255).astype(np.uint8))

    def _ellipse(self, x: float, y: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        self.pen.ellipse(
            [(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE], fill=colour
        )

    def _line(self, points: list[Point], width: float, colour: tuple[int, int, int]) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.pen.line(scaled, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def _disc_and_vessels(self) -> Point:
        unit, rng = self.unit, self.rng
        side = 1 if rng.random() < 0.5 else -1
        x = self.centre[0] + side * self.radius * rng.uniform(0.45, 0.62)
        y = self.centre[1] + self.radius * rng.uniform(-0.12, 0.12)
        rx, ry = unit * rng.uniform(7.5, 9.5), unit * rng.uniform(8, 10)
        self._ellipse(x, y, rx, ry, (245, int(rng.integers(195, 225)), int(rng.integers(110, 150))))
        self._ellipse(x, y, rx * 0.45, ry * 0.45, (255, 238, 190))
        fovea = (self.centre[0] - side * self.radius * 0.15, self.centre[1])
        shade = Image.new("L", self.canvas.size)
        reach = unit * 9 * SCALE
        fx, fy = fovea[0] * SCALE, fovea[1] * SCALE
        ImageDraw.Draw(shade).ellipse([fx - reach, fy - reach, fx + reach, fy + reach], fill=70)
        self._blend(shade.filter(ImageFilter.GaussianBlur(reach / 2)), (95, 35, 20))
        for vertical in (-1, 1):
            for target, width in ((-side * 1.15, 1.7), (-side * 0.45, 1.2), (side * 0.35, 1.2)):
                self._vessel((x, y), target, vertical, width * unit)
        self._add(DISC, (x - rx, y - ry, x + rx, y + ry))
        self.taken.append((x, y, max(rx, ry) + 2 * unit))
        return x, y

    def _blend(self, mask: Image.Image, colour: tuple[int, int, int]) -> None:
        self.canvas.paste(Image.new("RGB", self.canvas.size, colour), (0, 0), mask)

    def _vessel(self, start: Point, reach: float, vertical: int, width: float) -> None:
        """An arcade from the disc: out vertically first, then bending towards its end; with two branches."""
        rng, radius = self.rng, self.radius
        end = (start[0] + reach * radius, start[1] + vertical * radius * rng.uniform(0.5, 0.95))
        bend = (start[0] + 0.15 * reach * radius, start[1] + vertical * radius * rng.uniform(0.45, 0.8))
        t = np.linspace(0, 1, 14)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)
        curve += rng.normal(scale=0.5 * self.unit, size=curve.shape)
        dark = int(rng.integers(95, 125))
        colour = (dark, int(dark * 0.3), int(dark * 0.25))
        points: list[Point] = [(float(px), float(py)) for px, py in curve]
        self._line(points[:8], width, colour)
        self._line(points[7:], width * 0.7, colour)
        for at in (5, 9):
            direction = rng.uniform(0, 2 * np.pi)
            step = radius * 0.09
            branch = [points[at]]
            for _ in range(4):
                direction += rng.normal(scale=0.3)
                px, py = branch[-1]
                branch.append((px + step * np.cos(direction), py + step * np.sin(direction)))
            self._line(branch, width * 0.45, colour)

    def _add(self, kind: str, box: tuple[float, float, float, float]) -> None:
        self.findings.append(Finding(kind, clip_box(box, self.size)))

    def _free_spot(self, room: float, quadrant: tuple[int, int] | None = None) -> Point:
        """A place inside the field, away from what is taken where there is room; taken from now on."""
        x, y = self.centre
        for _ in range(40):
            angle, distance = self.rng.uniform(0, 2 * np.pi), self.radius * 0.82 * np.sqrt(self.rng.random())
            dx, dy = np.cos(angle) * distance, np.sin(angle) * distance
            dx = float(np.clip(dx, -self.centre[0] + room + 1, self.centre[0] - room - 1))
            dy = float(np.clip(dy, -self.centre[1] + room + 1, self.centre[1] - room - 1))
            if quadrant:
                dx, dy = quadrant[0] * max(abs(dx), room + 2), quadrant[1] * max(abs(dy), room + 2)
            x, y = self.centre[0] + dx, self.centre[1] + dy
            inside = room < x < self.size[0] - room and room < y < self.size[1] - room
            if inside and all(np.hypot(x - tx, y - ty) > room + tr for tx, ty, tr in self.taken):
                break
        self.taken.append((x, y, room))
        return float(x), float(y)

    def _microaneurysm(self) -> None:
        r = self.unit * self.rng.uniform(1.1, 1.6)
        x, y = self._free_spot(r + 1)
        self._ellipse(x, y, r, r, (int(self.rng.integers(105, 140)), 22, 22))
        self._add("microaneurysms", (x - r, y - r, x + r, y + r))

    def _haemorrhages(self, four_quadrants: bool) -> None:
        quadrants = [(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
        chosen = self.rng.permutation(4)[: 4 if four_quadrants else int(self.rng.integers(1, 4))]
        for index in chosen:
            for _ in range(int(self.rng.integers(1, 3))):
                self._haemorrhage(quadrants[int(index)])

    def _haemorrhage(self, quadrant: tuple[int, int]) -> None:
        r = self.unit * self.rng.uniform(3.2, 5.0)
        x, y = self._free_spot(r + 1, quadrant)
        colour = (int(self.rng.integers(85, 120)), 14, 18)
        parts = [(x, y, r * 0.75)]
        for _ in range(4):
            angle = self.rng.uniform(0, 2 * np.pi)
            parts.append((x + np.cos(angle) * r * 0.45, y + np.sin(angle) * r * 0.45, r * 0.5))
        for px, py, pr in parts:
            self._ellipse(px, py, pr, pr, colour)
        self._add("haemorrhages", _hull(parts))

    def _exudates(self) -> None:
        reach = self.unit * self.rng.uniform(5, 8)
        x, y = self._free_spot(reach)
        colour = (255, int(self.rng.integers(225, 250)), int(self.rng.integers(90, 150)))
        parts = []
        for _ in range(int(self.rng.integers(6, 12))):
            angle, distance = self.rng.uniform(0, 2 * np.pi), reach * np.sqrt(self.rng.random())
            r = self.unit * self.rng.uniform(0.9, 1.6)
            parts.append((x + np.cos(angle) * distance, y + np.sin(angle) * distance, r))
        for px, py, pr in parts:
            self._ellipse(px, py, pr, pr, colour)
        self._add("hard exudates", _hull(parts))

    def _cotton_wool_spot(self) -> None:
        rx, ry = self.unit * self.rng.uniform(4.5, 7), self.unit * self.rng.uniform(4, 6)
        x, y = self._free_spot(max(rx, ry))
        mask = Image.new("L", self.canvas.size)
        box = [(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE]
        ImageDraw.Draw(mask).ellipse(box, fill=int(self.rng.integers(170, 225)))
        self._blend(mask.filter(ImageFilter.GaussianBlur(1.6 * self.unit * SCALE)), (240, 225, 205))
        self.pen = ImageDraw.Draw(self.canvas)
        self._add("cotton wool spots", (x - rx, y - ry, x + rx, y + ry))

    def _new_vessels(self, disc: Point) -> None:
        reach = self.unit * self.rng.uniform(9, 13)
        x, y = self._free_spot(reach)
        colour = (int(self.rng.integers(150, 185)), 15, 30)
        for _ in range(int(self.rng.integers(9, 14))):
            direction, points = self.rng.uniform(0, 2 * np.pi), [(x, y)]
            for _ in range(7):
                direction += self.rng.normal(scale=0.7)
                px, py = points[-1]
                nx, ny = px + np.cos(direction) * reach * 0.22, py + np.sin(direction) * reach * 0.22
                if np.hypot(nx - x, ny - y) > reach:
                    direction += np.pi
                    continue
                points.append((float(nx), float(ny)))
            self._line(points, 0.6 * self.unit, colour)
        self._add("new vessels", (x - reach, y - reach, x + reach, y + reach))


def _hull(parts: list[tuple[float, float, float]]) -> tuple[float, float, float, float]:
    """The box around discs given as (x, y, radius)."""
    return (
        min(x - r for x, _, r in parts),
        min(y - r for _, y, r in parts),
        max(x + r for x, _, r in parts),
        max(y + r for _, y, r in parts),
    )

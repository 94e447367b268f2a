"""Procedural chest films: lungs, ribs, heart and findings with exact boxes. For software development only."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vrft_aug.data.procedural.scene import SCALE, SIZE, Finding, Scene, clip_box, finish, smooth_noise

FINDINGS = ("opacity", "nodule", "effusion", "enlarged heart", "pneumothorax")


def sample_chest(rng: np.random.Generator, size: tuple[int, int] = (SIZE, SIZE)) -> Scene:
    """A film with no finding in a third of all cases, else with one or two, of (width, height) pixels."""
    count = int(rng.choice([0, 1, 2], p=[0.3, 0.5, 0.2]))
    return draw_chest(rng, [str(k) for k in rng.choice(FINDINGS, count, replace=False)], size)


def draw_chest(
    rng: np.random.Generator, kinds: Collection[str], size: tuple[int, int] = (SIZE, SIZE)
) -> Scene:
    """A film with the named findings, at most one of each."""
    width, height = size
    unit = min(size) / 112.0
    found: list[Finding] = []
    film = np.full((height * SCALE, width * SCALE), rng.uniform(120, 150), dtype=np.float32)
    film += 6 * smooth_noise(rng, width * SCALE, height * SCALE, 6)

    def paint(shape: list[float], grey: float, strength: float, blur: float) -> None:
        """Blend an ellipse [x1, y1, x2, y2] (image pixels) of a grey level into the film."""
        mask = Image.new("L", (width * SCALE, height * SCALE))
        ImageDraw.Draw(mask).ellipse([v * SCALE for v in shape], fill=255)
        alpha = (
            np.asarray(mask.filter(ImageFilter.GaussianBlur(blur * SCALE)), dtype=np.float32) / 255 * strength
        )
        film[:] = film * (1 - alpha) + grey * alpha

    mid = width / 2 + rng.uniform(-2, 2) * unit
    top, bottom = height * rng.uniform(0.1, 0.14), height * rng.uniform(0.8, 0.86)
    half = width * rng.uniform(0.17, 0.2)
    lungs = [(mid - width * 0.235, top, bottom), (mid + width * 0.235, top, bottom)]
    dark = rng.uniform(35, 60)
    for x, y1, y2 in lungs:
        paint([x - half, y1, x + half, y2], dark, 0.95, 2 * unit)
    for rib in range(6):
        y = top + (rib + 0.8) * (bottom - top) / 7
        for side in (-1, 1):
            cx = mid + side * width * 0.23
            arc = Image.new("L", (width * SCALE, height * SCALE))
            box = [(cx - half) * SCALE, (y - 5 * unit) * SCALE, (cx + half) * SCALE, (y + 9 * unit) * SCALE]
            ImageDraw.Draw(arc).arc(
                box,
                200 if side < 0 else 180,
                360 if side < 0 else 340,
                fill=255,
                width=round(2 * unit * SCALE),
            )
            film += np.asarray(arc, dtype=np.float32) / 255 * rng.uniform(14, 24)
    big = "enlarged heart" in kinds
    reach = width * (rng.uniform(0.25, 0.29) if big else rng.uniform(0.14, 0.17))
    heart = [mid - reach * 0.7, height * 0.45, mid + reach * 1.15, height * 0.83]
    paint(heart, 185, 0.9, 2 * unit)
    paint([mid - width * 0.055, 0, mid + width * 0.055, height], 175, 0.7, 2 * unit)
    if big:
        found.append(Finding("enlarged heart", clip_box((heart[0], heart[1], heart[2], heart[3]), size)))

    sides = [int(i) for i in rng.permutation(2)]  # findings that need a lung to themselves take turns

    def lung() -> tuple[float, float, float]:
        sides.append(sides.pop(0))
        return lungs[sides[-1]]

    if "pneumothorax" in kinds:
        x, y1, y2 = lung()
        side = 1 if x > mid else -1
        shape = [
            x + side * half * 0.1 - half * 0.75,
            y1,
            x + side * half * 0.1 + half * 0.75,
            y1 + (y2 - y1) * 0.5,
        ]
        paint(shape, 4, 1.0, 0.8 * unit)
        found.append(Finding("pneumothorax", clip_box((shape[0], shape[1], shape[2], shape[3]), size)))
    if "effusion" in kinds:
        x, y1, y2 = lung()
        level = y2 - (y2 - y1) * rng.uniform(0.2, 0.32)
        shape = [x - half * 1.05, level, x + half * 1.05, y2 + 12 * unit]
        paint(shape, 205, 0.95, 1.2 * unit)
        found.append(Finding("effusion", clip_box((shape[0], shape[1], shape[2], y2 + 4 * unit), size)))
    if "opacity" in kinds:
        x, y1, y2 = lung()
        r = unit * rng.uniform(9, 13)
        cx, cy = x + rng.uniform(-0.3, 0.3) * half, y1 + (y2 - y1) * rng.uniform(0.3, 0.65)
        for _ in range(5):
            dx, dy = rng.normal(scale=r * 0.3, size=2)
            paint(
                [cx + dx - r * 0.6, cy + dy - r * 0.6, cx + dx + r * 0.6, cy + dy + r * 0.6],
                190,
                0.4,
                2.5 * unit,
            )
        found.append(Finding("opacity", clip_box((cx - r, cy - r, cx + r, cy + r), size)))
    if "nodule" in kinds:
        x, y1, y2 = lung()
        r = unit * rng.uniform(3.5, 5.5)
        cx, cy = x + rng.uniform(-0.4, 0.4) * half, y1 + (y2 - y1) * rng.uniform(0.2, 0.7)
        paint([cx - r, cy - r, cx + r, cy + r], 225, 0.9, 0.5 * unit)
        found.append(Finding("nodule", clip_box((cx - r, cy - r, cx + r, cy + r), size)))
    grey = Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).convert("RGB")
    return Scene(finish(grey, rng, size, noise=float(rng.uniform(2, 6))), tuple(found))

"""Draw docs/images/tiny-boxes.webp: what the embedded model finds on pictures that no training has seen.

    python scripts/tiny_boxes.py

The first pictures of the test split with something to find, by both cameras; its greedy answers in colour,
one a kind, the truth in thin white. Takes a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vrft_aug.answer import parse
from vrft_aug.data.procedural.camera import Camera
from vrft_aug.data.procedural.drawn_cases import ProceduralData, read_drawn
from vrft_aug.data.procedural.pool import Modality
from vrft_aug.nouns import Box, Task
from vrft_aug.perception.annotate import draw_boxes
from vrft_aug.perception.matching import matched_iou
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import load_policy
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.model_config import ModelConfig

ASKED: dict[Modality, tuple[str, tuple[str, ...]]] = {
    "fundus": ("fundus photograph", ("hard exudates", "cotton wool spots", "new vessels")),
    "chest": ("chest film", ("opacity", "nodule", "effusion", "enlarged heart", "pneumothorax")),
}
CAMERAS: tuple[Camera, ...] = ("clinic", "handheld")
FACTOR, SIDE, GAP, FOOT = 2, 112, 8, 18  # times; pixels
FRAME = Frame((SIDE, SIDE), (SIDE, SIDE), BoxSpace("processed"))


def tiles(model: str, count: int) -> list[list[Image.Image]]:
    """A row of pictures for each modality and camera."""
    policy = load_policy(ModelConfig(name=model))
    rows: list[list[Image.Image]] = []
    for modality, (called, labels) in ASKED.items():
        task = Task("boxes", "localise", f"Find the {', '.join(labels)}.", labels, called)
        for camera in CAMERAS:
            data = ProceduralData(reader="procedural", modality=modality, camera=camera, test=8 * count)
            cases = [case for case in read_drawn(data, task, Path(), "test") if case.target.boxes][:count]
            prompts = [build_prompt(task, case, FRAME.space) for case in cases]
            said = generate(
                policy, prompts, samples=1, temperature=None, max_new_tokens=192, batch_size=count, seed=0
            )
            row: list[Image.Image] = []
            for case, (rollout,) in zip(cases, said, strict=True):
                value = parse(rollout, task, FRAME).value
                found = value if isinstance(value, tuple) else ()
                true = case.target.boxes or ()
                words = f"{modality}, {camera}: IoU {matched_iou(found, true):.2f}"
                row.append(tile(case.images[0].open(), found, true, labels, words))
            rows.append(row)
    return rows


def tile(
    picture: Image.Image, found: tuple[Box, ...], true: tuple[Box, ...], labels: tuple[str, ...], words: str
) -> Image.Image:
    """One picture, enlarged, with boxes said and true, and a line below."""
    size = (picture.width * FACTOR, picture.height * FACTOR)
    large = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(large)
    for box in true:
        pen.rectangle([v * FACTOR for v in (box.x1, box.y1, box.x2, box.y2)], outline="white")
    moved = [Box(*(v * FACTOR for v in (b.x1, b.y1, b.x2, b.y2)), label=b.label) for b in found]
    whole = Image.new("RGB", (size[0], size[1] + FOOT), "#14171a")
    whole.paste(draw_boxes(large, moved, labels), (0, 0))
    ImageDraw.Draw(whole).text((4, size[1] + 3), words, fill="#e4e6e8", font=ImageFont.load_default(size=11))
    return whole


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("docs/images/tiny-boxes.webp"))
    given = parser.parse_args()
    rows = tiles(given.model, given.pictures)
    width, height = rows[0][0].size
    sheet = Image.new(
        "RGB", (len(rows[0]) * (width + GAP) + GAP, len(rows) * (height + GAP) + GAP), "#14171a"
    )
    for y, row in enumerate(rows):
        for x, one in enumerate(row):
            sheet.paste(one, (GAP + x * (width + GAP), GAP + y * (height + GAP)))
    sheet.save(given.output, quality=82)


if __name__ == "__main__":
    main()

"""An answer on its picture: the boxes drawn, the answer and the reasoning written below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vrft_aug.nouns import Answer, Box

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = ("#ffd400", "#00e5ff", "#ff4fd8", "#7cff4f", "#ff8c1a", "#b794ff")  # by label, in the task's order
INK, PAPER = "#e4e6e8", "#14171a"
NARROWEST = 448  # pixels; smaller pictures are enlarged by whole factors, so that the text can be read
LINES = 12  # of reasoning


def annotate(image: Image, answer: Answer, labels: Sequence[str]) -> Image:
    """A copy with the boxes of the answer (in pixels of `image`); below it answer, confidence, reasoning."""
    from PIL import Image as Images
    from PIL import ImageDraw, ImageFont

    factor = max(1, -(-NARROWEST // image.width))
    boxes = answer.value if isinstance(answer.value, tuple) else ()
    larger = [
        Box(box.x1 * factor, box.y1 * factor, box.x2 * factor, box.y2 * factor, box.label) for box in boxes
    ]
    size = (image.width * factor, image.height * factor)
    drawn = draw_boxes(image.convert("RGB").resize(size, Images.Resampling.NEAREST), larger, labels)
    text_size = max(14, round(size[0] / 45))
    margin, height = text_size, round(text_size * 1.45)
    characters = max(20, int((size[0] - 2 * margin) / (text_size * 0.55)))
    reasons = textwrap.wrap(answer.reasoning, characters)
    reasons = reasons if len(reasons) <= LINES else [*reasons[: LINES - 1], "…"]
    sure = "" if answer.confidence is None else f" ({answer.confidence:.0%} sure)"
    lines = [(line, COLOURS[0]) for line in textwrap.wrap(f"{answer_words(answer)}{sure}", characters)[:3]]
    lines += [("", INK), *((line, INK) for line in reasons)] if reasons else []
    whole = Images.new("RGB", (size[0], size[1] + 2 * margin + height * len(lines)), PAPER)
    whole.paste(drawn, (0, 0))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=text_size)
    for i, (line, colour) in enumerate(lines):
        pen.text((margin, size[1] + margin + i * height), line, fill=colour, font=font)
    return whole


def answer_words(answer: Answer) -> str:
    """The answer in words: a label, the labels, the boxes counted, or why there is none."""
    if answer.reason is not None:
        return f"No answer: {answer.reason}"
    if isinstance(answer.value, tuple):
        return f"{len(answer.value)} box{'' if len(answer.value) == 1 else 'es'}"
    if isinstance(answer.value, frozenset):
        return ", ".join(sorted(answer.value)) or "none of them"
    return str(answer.value)


def draw_boxes(image: Image, boxes: Sequence[Box], labels: Sequence[str]) -> Image:
    """A copy of a picture with boxes (in its own pixels) and their names drawn on it."""
    from PIL import ImageDraw, ImageFont

    drawn = image.convert("RGB")
    width = max(1, round(max(drawn.size) / 300))
    font = ImageFont.load_default(size=max(10, round(max(drawn.size) / 50)))
    pen = ImageDraw.Draw(drawn)
    for box in boxes:
        colour = COLOURS[labels.index(box.label) % len(COLOURS)] if box.label in labels else COLOURS[0]
        pen.rectangle(
            (box.x1, box.y1, max(box.x1, box.x2 - 1), max(box.y1, box.y2 - 1)), outline=colour, width=width
        )
        if box.label:
            pen.text(
                (box.x1 + width + 1, box.y1 + width),
                box.label,
                fill=colour,
                font=font,
                stroke_width=1,
                stroke_fill="black",
            )
    return drawn

"""Pictures as they are not: blank, blurred, with boxes masked. What a model says to them tells if it looks.

All are references like any other: opened when needed, picklable, of the size of the picture that they are
made of. Boxes are in pixels of the original picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrft_aug.data.images import image_size
from vrft_aug.data.open_all import sample
from vrft_aug.nouns import Box, ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
LINE = 1 / 80  # of the longer side: the thickness of what is drawn
GREEN = (0, 255, 0)  # no tissue has it
BLUR = 1 / 16  # of the longer side: the standard deviation, beside which no lesion keeps its edge


@dataclass(frozen=True)
class Blank:
    """A picture of which only the size is left, in one colour."""

    image: ImageRef
    colour: Colour

    def open(self) -> Image:
        """As many pixels as the picture has, all of the colour."""
        from PIL import Image

        return Image.new("RGB", image_size(self.image), self.colour)

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return image_size(self.image)


@dataclass(frozen=True)
class Blurred:
    """A picture out of focus: its colours and large shapes are left."""

    image: ImageRef

    def open(self) -> Image:
        """Convolved with a Gaussian of `BLUR` of the longer side."""
        from PIL import ImageFilter

        image = self.image.open()
        return image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size)))

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return image_size(self.image)


@dataclass(frozen=True)
class Masked:
    """A picture with boxes painted over in its own mean colour."""

    image: ImageRef
    boxes: tuple[Box, ...]

    def open(self) -> Image:
        """Every pixel that a box touches is painted."""
        image = self.image.open().copy()
        colour = mean_colour([image])
        for box in self.boxes:
            image.paste(colour, pixels_of(box))
        return image

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return image_size(self.image)


@dataclass(frozen=True)
class Outlined:
    """A picture with boxes drawn on it, as a teacher would point: what is in them stays to be seen."""

    image: ImageRef
    boxes: tuple[Box, ...]

    def open(self) -> Image:
        """Green lines around every box, as thick as still shows when the picture is made small."""
        from PIL import ImageDraw

        image = self.image.open().convert("RGB")
        pen, width = ImageDraw.Draw(image), max(1, round(LINE * max(image.size)))
        for box in self.boxes:
            left, top, right, bottom = pixels_of(box)
            corners = (left - width, top - width, right + width - 1, bottom + width - 1)
            pen.rectangle(corners, outline=GREEN, width=width)
        return image

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return image_size(self.image)


@dataclass(frozen=True)
class Fitted:
    """A picture stretched to the size of another, so that pixels mean in it what they mean there."""

    image: ImageRef
    like: ImageRef

    def open(self) -> Image:
        """The picture at that size; as it is where it has it already."""
        image, wanted = self.image.open(), image_size(self.like)
        return image if image.size == wanted else image.resize(wanted)

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return image_size(self.like)


def pixels_of(box: Box) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches: left, top, right, bottom, the last two outside."""
    return math.floor(box.x1), math.floor(box.y1), math.ceil(box.x2), math.ceil(box.y2)


def mean_colour(pictures: Sequence[Image]) -> Colour:
    """The mean of their pixels, every picture counting as much as any other; 0 to 255."""
    from PIL import ImageStat

    means = [ImageStat.Stat(picture).mean for picture in pictures]
    red, green, blue = (round(sum(channel) / len(means)) for channel in zip(*means, strict=True))
    return red, green, blue


def common_colour(images: Sequence[ImageRef]) -> Colour:
    """The mean colour of pictures (of 64 of them, spread evenly): nothing of any single one is in it."""
    return mean_colour([image.open().convert("RGB") for image in sample(images)])

"""A picture that is decoded only where somebody looks at its pixels.

Between the data and a model a picture passes through libraries that hand it on and never look: what has
been processed before need not be decoded again to get there. It is a PIL image to all of them.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from vrft_aug.data.images import image_size
from vrft_aug.nouns import ImageRef


class PictureOnDemand(Image.Image):
    """What `ref.open()` gives, opened when it is first looked at; UserError then where it cannot be decoded.

    Pictures are equal where their references are, and no pixel is read to say so. A copy for another process
    is a reference too.
    """

    def __init__(self, ref: ImageRef) -> None:
        super().__init__()
        self.ref = ref
        self._known: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels; without decoding where the reference knows it."""
        if self._im is not None:
            return self._size
        if self._known is None:
            self._known = image_size(self.ref)
        return self._known

    @property
    def mode(self) -> str:
        """As decoded."""
        self._decode()
        return self._mode

    @property
    def im(self) -> Any:
        """The decoded pixels."""
        self._decode()
        return super().im

    @im.setter
    def im(self, im: Any) -> None:
        self._im = im

    def load(self) -> Any:
        """Decode, as every method that looks at pixels does first."""
        self._decode()
        return super().load()

    def _decode(self) -> None:
        if self._im is not None:
            return
        opened = self.ref.open()
        opened.load()
        self._im, self._mode, self._size = opened.im, opened.mode, opened.size
        self.palette, self.info = opened.palette, opened.info

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PictureOnDemand) and bool(self.ref == other.ref)

    __hash__ = None  # type: ignore[assignment]  # as of all images of PIL

    def __reduce__(self) -> tuple[Any, ...]:
        return PictureOnDemand, (self.ref,)

"""Letters that are burned into a picture, guessed without reading them.

Printed letters are small marks of one colour on a flat ground, of one height, in a row. What stands on
tissue, or is larger than a twentieth of the picture, is missed; a ruler or a grey scale may be taken for
text. It says "look", never "there is a name".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STROKE = 9  # pixels: strokes are thinner; at 512 pixels of the longer side
STEP = 70  # grey values that a mark stands out
FLAT_GROUND = 14.0  # standard deviation of the ground around a mark
LEAST_ROW = 4  # marks that make a row
MOST_MARKS = 2000  # more is a texture


def letters_in_rows(grey: NDArray[np.uint8]) -> int:
    """How many marks of a grey picture (height, width) stand in rows of at least four; light or dark ones."""
    if min(grey.shape) < 3 * STROKE:
        return 0
    return max(_rows(grey), _rows(255 - grey))


def _rows(grey: NDArray[np.uint8]) -> int:
    from scipy import ndimage

    ground = ndimage.maximum_filter(ndimage.minimum_filter(grey, STROKE), STROKE)
    marked, count = ndimage.label(grey.astype(np.int16) - ground > STEP, structure=np.ones((3, 3)))
    if not LEAST_ROW <= count <= MOST_MARKS:
        return 0
    marks = []
    for rows, columns in ndimage.find_objects(marked):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if 4 <= height <= grey.shape[0] / 20 + 4 and width <= 2 * height and _on_flat(ground, rows, columns):
            marks.append(((rows.start + rows.stop) / 2, columns.start, columns.stop, height))
    return _in_rows(sorted(marks))


def _on_flat(ground: NDArray[np.uint8], rows: slice, columns: slice) -> bool:
    around = ground[max(0, rows.start - 4) : rows.stop + 4, max(0, columns.start - 4) : columns.stop + 4]
    return float(around.std()) <= FLAT_GROUND


def _in_rows(marks: list[tuple[float, int, int, int]]) -> int:
    """Marks (middle, left, right, height), from above, that have at least three neighbours of their row."""
    total = 0
    while marks:
        middle, _, _, height = marks[0]
        row = [one for one in marks if abs(one[0] - middle) <= 0.5 * height and one[3] <= 1.7 * height]
        marks = [one for one in marks if one not in row]
        row.sort(key=lambda one: one[1])
        chain = [row[0]]
        for one in row[1:]:
            if one[1] - chain[-1][2] <= 2.5 * height:
                chain.append(one)
                continue
            total += len(chain) if len(chain) >= LEAST_ROW else 0
            chain = [one]
        total += len(chain) if len(chain) >= LEAST_ROW else 0
    return total

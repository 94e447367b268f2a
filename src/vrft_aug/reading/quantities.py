"""Numbers with units: `12 mm` is `1.2 cm`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vrft_aug.reading.characters import comparable
from vrft_aug.reading.wrappers import unwrapped

_KINDS: dict[str, dict[str, float]] = {
    "length": {
        "mm": 1, "cm": 10, "m": 1000, "um": 1e-3, "μm": 1e-3, "micron": 1e-3, "millimeter": 1,
        "millimetre": 1, "centimeter": 10, "centimetre": 10, "in": 25.4, "inch": 25.4,
    },
    "area": {"mm2": 1, "cm2": 100},
    "volume": {
        "ml": 1, "cc": 1, "mm3": 1e-3, "cm3": 1, "l": 1000, "liter": 1000, "litre": 1000, "milliliter": 1,
        "millilitre": 1,
    },
    "mass": {"mg": 1, "g": 1000, "gram": 1000, "kg": 1e6, "ug": 1e-3},
    "time": {
        "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400,
        "week": 604_800,
    },
    "months": {"month": 1, "year": 12},
    "share": {"%": 1, "percent": 1},
    "attenuation": {"hu": 1},
    "angle": {"°": 1, "degree": 1},
    "pressure": {"mmhg": 1},
    "rate": {"bpm": 1},
    "count": {"": 1},
}  # fmt: skip
# Unit -> (what it measures, its size in the first unit of its kind).
UNITS = {unit: (kind, float(size)) for kind, units in _KINDS.items() for unit, size in units.items()}
WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_WRITTEN = re.compile(
    r"([-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?\d{1,15}(?:[.,]\d{1,15})?)\s*([a-zµμ%°]*[23]?)"
)
TOLERANCE = 1e-6  # relative: of the arithmetic, not of the measurement


@dataclass(frozen=True)
class Quantity:
    """A number in the first unit of what it measures, "count" without a unit."""

    value: float
    measures: str

    def is_near(self, other: Quantity, tolerance: float = 0.0) -> bool:
        """Whether two quantities of one kind differ by no more than a share of the other."""
        close = math.isclose(self.value, other.value, rel_tol=TOLERANCE, abs_tol=1e-12)
        return self.measures == other.measures and (
            close or abs(self.value - other.value) <= tolerance * abs(other.value) * (1 + TOLERANCE)
        )


def quantity(text: str) -> Quantity | None:
    """The quantity that a text is as a whole; None for a range, two numbers, an unknown unit, or words."""
    said = comparable(unwrapped(text)).replace("²", "2").replace("³", "3")
    if said in WORDS:
        return Quantity(float(WORDS.index(said)), "count")
    found = _WRITTEN.fullmatch(said)
    if found is None:
        return None
    number, unit = found.groups()
    known = UNITS.get(unit) or UNITS.get(unit.removesuffix("s")) or UNITS.get(unit.removesuffix("es"))
    if known is None:
        return None
    thousands = re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", number)
    value = float(number.replace(",", "") if thousands else number.replace(",", "."))
    return Quantity(value * known[1], known[0])

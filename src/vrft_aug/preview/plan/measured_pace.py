"""How fast a card is, from a step that `vrft selftest --json` has timed on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, shown
from vrft_aug.preview.plan.activations import precision_of
from vrft_aug.preview.plan.cards import Card, find_card
from vrft_aug.preview.plan.roofline import Cost, Pace, seconds

FIGURES = ("step_seconds", "flops", "decoding_flops", "decoding_bytes", "decoding_calls")


def pace_of(path: Path, card: Card) -> Pace:
    """By how much the step of a selftest took longer than its roofline says for the card.

    Raises UserError where the file is none of a selftest, holds no timed step, or is of another device.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checks = {check["name"]: check for check in content["checks"]}
        device, gpus = content["device"], content["hardware"]["gpus"]
    except FileNotFoundError:
        raise UserError(f"--selftest {path} does not exist; vrft selftest --json {path} writes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"--selftest {path} is not what vrft selftest --json writes ({type(error).__name__}); write it "
            "anew on a machine with the card"
        ) from None
    tested = gpus[0] if device == "cuda" and gpus else device
    if device != card.kind or not _is_card(tested, card):
        raise UserError(
            f"--selftest {path} was run on {shown(tested)}, not on {card.name}; run vrft selftest --json on "
            "such a card, or leave --selftest out"
        )
    figures = checks.get("speed", {}).get("figures")
    if not isinstance(figures, dict) or not all(
        isinstance(figures.get(name), int | float) for name in FIGURES
    ):
        raise UserError(
            f"--selftest {path} holds no timed step; write it anew with this version's vrft selftest --json"
        )
    taken = float(figures["step_seconds"])
    expected = _expected(figures, card)
    return Pace(taken / expected, f"paced by a step of vrft selftest: {taken:.2f} s for {expected:.2f} s")


def _expected(figures: dict[str, Any], card: Card) -> float:
    precision = precision_of("bfloat16", True)  # an adapter over a bfloat16 base, on a GPU
    decoding = Cost(figures["decoding_flops"], figures["decoding_bytes"], figures["decoding_calls"])
    rest = Cost(flops=figures["flops"] - figures["decoding_flops"])
    return sum(seconds(cost, card, precision, Pace()) for cost in (decoding, rest))


def _is_card(name: str, card: Card) -> bool:
    try:
        return find_card(name).name.split("-")[0] == card.name.split("-")[0]
    except UserError:
        return card.kind == "mps" and name == "mps"

"""Makes the moving picture of README from the files of a run: curves of reward, and rollouts as they came.

    python scripts/run_animation.py runs/demo/vrft-aug-0     # writes docs/images/run.webp

Of every step it shows one group, the first: its picture with the true boxes, and all of its completions. It
plays once and stops at the last step.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from vrft_aug.recipe.file import load_recipe
from vrft_aug.view.case_facts import CaseBook

OUTPUT = Path("docs/images/run.webp")
SIZE, DPI = (9.2, 3.9), 100
INK, FAINT, GOOD, BAD, NONE = "#1f2430", "#8a91a0", "#2c8a4b", "#c0392b", "#c98a1b"
TERMS = {"reward": INK, "rewards/format": FAINT, "rewards/iou": "#2f6fd0", "rewards/fuzzy_grade": "#7d3fc0"}


def main() -> None:
    """Draw a frame for every step and write them as one picture."""
    run = Path(sys.argv[1])
    book = CaseBook(load_recipe(str(run / "recipe.yaml")))
    steps = [line for line in _lines(run / "metrics.jsonl") if "reward" in line]
    rollouts = _lines(run / "rollouts.jsonl")
    frames = []
    for number, step in enumerate(steps):
        here = [one for one in rollouts if (one["stage"], one["step"]) == (step["stage"], step["step"])]
        group = [one for one in here if one["case"] == here[0]["case"]]
        frames.append(_frame(book, steps, number, group))
    times = [220] * (len(frames) - 1) + [4000]
    frames[0].save(
        OUTPUT, save_all=True, append_images=frames[1:], duration=times, loop=1, quality=70, method=6
    )
    print(f"{OUTPUT}: {len(frames)} frames, {OUTPUT.stat().st_size / 1e6:.2f} MB")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _frame(
    book: CaseBook, steps: Sequence[dict[str, Any]], number: int, group: Sequence[dict[str, Any]]
) -> Image.Image:
    figure = plt.figure(figsize=SIZE, dpi=DPI, facecolor="white")
    _curves(figure, steps, number)
    _rollouts(figure, book, steps[number], group)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def _curves(figure: Figure, steps: Sequence[dict[str, Any]], number: int) -> None:
    axes = figure.add_axes((0.055, 0.13, 0.36, 0.72))
    axes.set(xlim=(1, len(steps)), ylim=(-0.02, 1.22))
    axes.set_xlabel("step", fontsize=8, color=FAINT)
    axes.tick_params(labelsize=7, colors=FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for name, colour in TERMS.items():
        points = [(at + 1, step[name]) for at, step in enumerate(steps[: number + 1]) if name in step]
        if points:
            label = name.removeprefix("rewards/").replace("reward", "reward, all terms")
            axes.plot(
                *zip(*points, strict=True), color=colour, lw=2.2 if name == "reward" else 1.2, label=label
            )
    starts = [at for at in range(1, len(steps)) if steps[at]["stage"] != steps[at - 1]["stage"]]
    for at in starts:
        axes.axvline(at + 0.5, color=FAINT, lw=0.8, ls=":")
    for at in (0, *starts):
        axes.text(at + 1.2, 1.25, steps[at]["stage"], fontsize=8, color=FAINT)
    axes.legend(loc="lower right", fontsize=7, frameon=False, ncols=2)
    figure.text(0.055, 0.925, "What the rewards pay", fontsize=10, weight="bold", color=INK)


def _rollouts(figure: Figure, book: CaseBook, step: dict[str, Any], group: Sequence[dict[str, Any]]) -> None:
    task, name = group[0]["task"], group[0]["case"]
    case = book.case(task, name)
    assert case is not None, f"{name} is no case of the recipe"
    figure.text(
        0.445,
        0.925,
        f"Step {step['step']} of {step['stage']}: one of its groups",
        fontsize=10,
        weight="bold",
        color=INK,
    )
    axes = figure.add_axes((0.445, 0.43, 0.18, 0.425))
    axes.imshow(case.images[0].open())
    axes.axis("off")
    for box in book.true_boxes(task, name):
        size = (box.x2 - box.x1, box.y2 - box.y1)
        axes.add_patch(Rectangle((box.x1, box.y1), *size, fill=False, ec="cyan", lw=1.3))
    figure.text(0.445, 0.37, f"truth: {_short(book.truth(task, name) or 'none', 30)}", fontsize=8, color=INK)
    most = 1.2
    for row, one in enumerate(group[:8]):
        y = 0.815 - row * 0.096
        right = one["reason"] is None and one["total"] > 0.9
        colour = NONE if one["reason"] else GOOD if right else BAD
        told = one["reason"] or _answer(one)
        figure.patches.append(
            Rectangle((0.655, y - 0.013), 0.09 * max(one["total"], 0.01) / most, 0.03, color=colour,
                      transform=figure.transFigure)
        )  # fmt: skip
        figure.text(0.76, y + 0.008, _short(told, 28), fontsize=8, color=colour, weight="bold")
        thought = one["completion"].partition("</think>")[0].removeprefix("<think>")
        figure.text(0.76, y - 0.03, _short(thought, 40), fontsize=6.5, color=FAINT)


def _answer(one: dict[str, Any]) -> str:
    answer = one["answer"]
    if isinstance(answer, list):
        return ", ".join(box["label"] for box in answer) or "no box"
    return str(answer)


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


if __name__ == "__main__":
    main()

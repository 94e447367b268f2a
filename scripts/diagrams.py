"""Draws the pictures of the pages on concepts: boxes and arrows, and the intervals of the demo's page.

python scripts/diagrams.py       # writes docs/images/*.svg; a test holds them equal
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
INK, FAINT, LINE = "#1f2430", "#5b6372", "#8a91a0"
BLUE, GREEN, PURPLE, AMBER, GREY = "#dbe7fb", "#d9f0e0", "#eadcf8", "#fbe9cf", "#eef0f4"
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
    'font-family="system-ui, sans-serif">\n<title>{title}</title>\n'
    '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    f'orient="auto"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>\n'
    '<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>\n'
)


def text(x: float, y: float, words: str, size: int = 12, colour: str = INK, bold: bool = False) -> str:
    """A line of text in the middle of x."""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:g}" y="{y:g}" text-anchor="middle" font-size="{size}"'
    return f'<text {place} fill="{colour}"{weight}>{escape(words)}</text>\n'


def box(x: float, y: float, width: float, height: float, colour: str, *lines: str) -> str:
    """A rounded box; its first line is bold."""
    shape = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{colour}" stroke="{LINE}"/>\n'
    )
    top = y + height / 2 - 8 * (len(lines) - 1) + 4
    words = (
        text(x + width / 2, top + 16 * at, line, 13 if at == 0 else 11, INK if at == 0 else FAINT, at == 0)
        for at, line in enumerate(lines)
    )
    return shape + "".join(words)


def arrow(*points: tuple[float, float]) -> str:
    """A line through the points with a head at its end."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#to)"/>\n'
    )


def drawing(width: int, height: int, title: str, *parts: str) -> str:
    """A whole picture."""
    return HEAD.format(width=width, height=height, title=escape(title)) + "".join(parts) + "</svg>\n"


def loop() -> str:
    """How a step of training goes."""
    return drawing(
        760, 230, "The loop of a run",
        box(15, 20, 140, 60, GREY, "cases", "pictures, truths"),
        box(195, 20, 140, 60, BLUE, "prompt", "with the knowledge"),
        box(375, 20, 170, 60, BLUE, "model", "a group of completions"),
        box(585, 20, 160, 60, PURPLE, "answers", "parsed, or a reason"),
        box(585, 140, 160, 60, AMBER, "scorer", "terms and weights"),
        box(375, 140, 170, 60, GREEN, "advantages", "within each group"),
        box(195, 140, 140, 60, GREEN, "update", "by TRL"),
        box(15, 140, 140, 60, GREY, "run folder", "every rollout, alarms"),
        arrow((155, 50), (193, 50)), arrow((335, 50), (373, 50)), arrow((545, 50), (583, 50)),
        arrow((665, 80), (665, 138)), arrow((585, 170), (547, 170)), arrow((375, 170), (337, 170)),
        arrow((195, 170), (157, 170)), arrow((265, 140), (265, 112), (420, 112), (420, 82)),
        text(345, 106, "new weights", 11, FAINT),
    )  # fmt: skip


def ideas() -> str:
    """Where each of the four augmentations acts."""
    return drawing(
        760, 250, "Where the four augmentations act",
        box(20, 100, 120, 56, GREY, "picture"), box(180, 100, 120, 56, GREY, "prompt"),
        box(340, 100, 120, 56, GREY, "reasoning"), box(500, 100, 120, 56, GREY, "answer"),
        box(650, 100, 95, 56, GREY, "reward"),
        *(arrow((x, 128), (x + 38, 128)) for x in (140, 300, 460)), arrow((620, 128), (648, 128)),
        box(130, 15, 220, 52, BLUE, "1 knowledge injection", "classes told in the prompt"),
        arrow((240, 67), (240, 98)),
        box(20, 190, 250, 52, GREEN, "2 perception", "find lesions first: boxes, IoU"),
        arrow((80, 190), (80, 158)),
        box(310, 190, 230, 52, PURPLE, "4 imitation", "recitation, findings held to facts"),
        arrow((400, 190), (400, 158)),
        box(520, 15, 225, 52, AMBER, "3 reward shaping", "a near miss earns a part"),
        arrow((697, 67), (697, 98)),
    )  # fmt: skip


def scorer() -> str:
    """One scorer for training, evaluation and files of completions."""
    return drawing(
        760, 240, "One scorer for training, evaluation and trials",
        box(15, 15, 165, 52, GREY, "training", "every completion"),
        box(15, 92, 165, 52, GREY, "vrft evaluate", "greedy answers"),
        box(15, 169, 165, 52, GREY, "vrft score", "completions in a file"),
        *(arrow((180, y), (238, 118)) for y in (41, 118, 195)),
        box(240, 85, 140, 66, BLUE, "one parser", "closed set of labels,", "or why not"),
        arrow((380, 118), (428, 118)),
        box(430, 60, 140, 116, AMBER, "terms", "format  0.2", "fuzzy_grade  1.0", "recitation  0.1",
            "None: does not apply"),
        arrow((570, 118), (618, 118)),
        box(620, 85, 125, 66, GREEN, "total", "the weighted sum", "of what applies"),
    )  # fmt: skip


def prefix() -> str:
    """A group by stock TRL and with its prompt shared."""
    parts = [text(190, 28, "stock TRL", 13, INK, True), text(570, 28, "a prompt once a group", 13, INK, True)]
    for row in range(4):
        y = 48 + row * 36
        parts += [box(20, y, 220, 26, BLUE), text(130, y + 17, "picture and prompt", 11, FAINT)]
        parts += [box(244, y, 110, 26, GREEN), text(299, y + 17, f"completion {row + 1}", 11, FAINT)]
        parts += [box(640, y, 105, 26, GREEN), text(692, y + 17, f"completion {row + 1}", 11, FAINT)]
        parts.append(arrow((608, 115), (638, y + 13)))
    parts += [box(400, 102, 208, 26, BLUE), text(504, 119, "picture and prompt", 11, FAINT)]
    parts += [text(190, 215, "every prompt and picture G times", 11, FAINT)]
    parts += [text(570, 215, "equal gradients; tests hold them to TRL's", 11, FAINT)]
    return drawing(760, 230, "Prefix sharing", *parts)


def intervals() -> str:
    """Accuracy of the demo's arms with their intervals, from the page of its figures."""
    page = (ROOT / "docs" / "measured" / "demo.md").read_text("utf-8")
    row = re.compile(r"^\| ([^|]+) \| ([\d.]+)(?: ± [\d.]+)? \[([\d.]+), ([\d.]+)\]", re.MULTILINE)
    arms = {name: tuple(map(float, found)) for name, *found in reversed(row.findall(page))}  # the first table
    height = 60 + 34 * len(arms)
    parts = [text(375, 22, "Accuracy of the demo's arms, 95 % intervals over cases", 13, INK, True)]
    for number, (name, values) in enumerate(reversed(arms.items())):
        y = 52 + 34 * number
        value, low, high = values
        line = f'x1="{_at(low):g}" x2="{_at(high):g}" y1="{y}" y2="{y}"'
        parts.append(f'<line {line} stroke="#2f6fd0" stroke-width="5" stroke-linecap="round"/>\n')
        parts.append(f'<circle cx="{_at(value):g}" cy="{y}" r="6" fill="{INK}"/>\n')
        parts += [text(95, y + 4, name, 12), text(_at(high) + 28, y + 4, f"{value:.2f}", 11, FAINT)]
    return drawing(760, height, "Intervals of the demo's arms", *parts)


def _at(share: float) -> float:
    return 190 + 530 * share


PICTURES = {"loop": loop, "ideas": ideas, "scorer": scorer, "prefix": prefix, "intervals": intervals}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw(), encoding="utf-8")
        print(f"wrote docs/images/{name}.svg")

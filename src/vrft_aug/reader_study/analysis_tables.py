"""A reader study's figures for the terminal and as CSV; and every reading in a row, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.reader_study.analysis import Analysis
from vrft_aug.reader_study.reader_figures import ReaderFigures
from vrft_aug.reader_study.readings import Readings
from vrft_aug.reader_study.reliance import RELIANCE

FIGURE_COLUMNS = ("who", "condition", "figure", "value", "low", "high", "n")
READING_COLUMNS = (
    "reader", "session", "place", "doing", "case", "truth", "model", "answer", "right", "flags", "comment",
    "seconds", "openings", "at",
)  # fmt: skip


def sentences(analysis: Analysis) -> list[str]:
    """What the study comes to, each in a plain sentence."""
    said = []
    gain, both = analysis.over_readers.get("gain"), analysis.all.accuracy
    if gain is not None and gain.value is not None:
        said.append(
            f"With the model's answer readers were right in {_share(both['aided'])}, without in "
            f"{_share(both['unaided'])}: {_signed(gain.value)}{_interval(gain)} over readers and cases."
        )
    if (tested := analysis.obuchowski_rockette) is not None:
        low, high = _signed(tested.low), _signed(tested.high)
        said.append(
            f"Obuchowski-Rockette: {_signed(tested.difference)} [{low}, {high}], "
            f"F(1, {tested.degrees:.1f}) = {tested.f:.2f}, p = {tested.p:.3f}."
        )
    followed = analysis.all.reliance.get("followed_wrong")
    if followed is not None and followed.value is not None:
        alone = analysis.all.reliance.get("wrong_anyway")
        beside = (
            f"; alone they gave that wrong answer in {alone.value:.0%}"
            if alone is not None and alone.value is not None
            else ""
        )
        said.append(f"Where the model was wrong they gave its answer in {followed.value:.0%}{beside}.")
    return said


def reader_table(analysis: Analysis) -> Table:
    """A row a reader and condition, and all together."""
    graded = analysis.kind == "grade"
    table = Table(box=None, pad_edge=False)
    for title in ("Reader", "Model"):
        table.add_column(title, no_wrap=True)
    for title in ("Accuracy", "Kappa", *(["Quadratic"] if graded else []), "Seconds", "n"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in _everybody(analysis):
        for condition in analysis.conditions:
            kappas = (one.kappa, one.quadratic) if graded else (one.kappa,)
            shown = [one.accuracy[condition], *(of[condition] for of in kappas), one.seconds[condition]]
            table.add_row(
                Text(one.reader), "with" if condition == "aided" else "without",
                *(Text(_cell(metric)) for metric in shown), str(one.accuracy[condition].n),
            )  # fmt: skip
    if analysis.conditions:
        blank = [""] * (3 if graded else 2)
        table.add_row("model alone", "", Text(_cell(analysis.model)), *blank, str(analysis.model.n))
    return table


def reliance_table(analysis: Analysis) -> Table | None:
    """What the model's answer changes: each figure by reader."""
    figures: list[tuple[str, list[Metric | None]]] = [
        ("Accuracy with minus without", [one.gain for one in _everybody(analysis)]),
        ("Time with over without", [one.time_ratio for one in _everybody(analysis)]),
    ]
    for name in analysis.all.reliance:
        figures.append((RELIANCE[name][0], [one.reliance[name] for one in _everybody(analysis)]))
    if not analysis.all.reliance:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("The model's answer", "Reader"):
        table.add_column(title, no_wrap=True)
    for title in ("Value [95 %]", "n"):
        table.add_column(title, justify="right", no_wrap=True)
    for title, metrics in figures:
        for place, (one, metric) in enumerate(zip(_everybody(analysis), metrics, strict=True)):
            if metric is not None:
                name = title if place == 0 else ""
                table.add_row(name, Text(one.reader), Text(str(metric)), str(metric.n))
    return table


def agreement_table(analysis: Analysis) -> Table | None:
    """A row a condition: all readers together, then each pair."""
    if not analysis.together:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("Agreement", "Model"):
        table.add_column(title, no_wrap=True)
    for title in ("Kappa", *(["Quadratic"] if analysis.kind == "grade" else []), "n"):
        table.add_column(title, justify="right", no_wrap=True)

    def row(name: str, condition: str, metric: Metric, graded: Metric | None) -> None:
        cells = [str(metric), *([str(graded) if graded else ""] if analysis.kind == "grade" else [])]
        model = "with" if condition == "aided" else "without"
        table.add_row(Text(name), model, *map(Text, cells), str(metric.n))

    for one in analysis.together:
        row("Krippendorff's alpha", one.condition, one.alpha, one.alpha_squared)
        row("Fleiss' kappa", one.condition, one.fleiss, None)
    for pair in analysis.pairs:
        row(f"{pair.first} and {pair.second}", pair.condition, pair.kappa, pair.quadratic)
    return table


def ratings_table(analysis: Analysis) -> Table | None:
    """A row a flag: share of the ratings, and how far raters agree."""
    if (ratings := analysis.ratings) is None:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Reasons rated", no_wrap=True)
    for title in ("Share", "Alpha of raters", "Ratings"):
        table.add_column(title, justify="right", no_wrap=True)
    for flag, share in ratings.shares.items():
        table.add_row(flag, Text(str(share)), Text(str(ratings.agreement[flag])), str(ratings.ratings))
    return table


def figures_csv(analysis: Analysis) -> str:
    """A row a figure."""
    return _csv(FIGURE_COLUMNS, _figure_rows(analysis))


def readings_csv(readings: Readings) -> str:
    """A row an answer, as it was saved, with truth and the model's answer."""
    return _csv(READING_COLUMNS, _reading_rows(readings))


def _figure_rows(analysis: Analysis) -> Iterator[Sequence[object]]:
    yield ("model", "", "accuracy", *_numbers(analysis.model))
    for one in (*analysis.readers, analysis.all):
        for condition, name, metric in _metrics_of(one):
            yield (one.reader, condition, name, *_numbers(metric))
        if one.p is not None:
            yield (one.reader, "", "mcnemar_p", one.p, None, None, one.better + one.worse)
    for name, metric in analysis.over_readers.items():
        condition = "" if name == "gain" else name
        yield ("all, readers drawn", condition, "gain" if name == "gain" else "accuracy", *_numbers(metric))
    if (tested := analysis.obuchowski_rockette) is not None:
        yield ("all, Obuchowski-Rockette", "", "gain", tested.difference, tested.low, tested.high, None)
        yield ("all, Obuchowski-Rockette", "", "p", tested.p, None, None, None)
    for pair in analysis.pairs:
        who = f"{pair.first} and {pair.second}"
        yield (who, pair.condition, "kappa", *_numbers(pair.kappa))
        if pair.quadratic is not None:
            yield (who, pair.condition, "quadratic_kappa", *_numbers(pair.quadratic))
    for group in analysis.together:
        yield ("all", group.condition, "fleiss_kappa", *_numbers(group.fleiss))
        yield ("all", group.condition, "krippendorff_alpha", *_numbers(group.alpha))
        if group.alpha_squared is not None:
            yield ("all", group.condition, "krippendorff_alpha_squared", *_numbers(group.alpha_squared))
    if (ratings := analysis.ratings) is not None:
        for flag, metric in ratings.shares.items():
            yield ("raters", "", f"rated {flag}", *_numbers(metric))
        for label, of_class in ratings.by_class.items():
            for flag, metric in of_class.items():
                yield ("raters", label, f"rated {flag}", *_numbers(metric))
        for flag, metric in ratings.agreement.items():
            yield ("raters", "", f"alpha of {flag}", *_numbers(metric))


def _metrics_of(one: ReaderFigures) -> Iterator[tuple[str, str, Metric]]:
    named = {
        "accuracy": one.accuracy,
        "kappa": one.kappa,
        "quadratic_kappa": one.quadratic,
        "seconds": one.seconds,
    }
    for name, by_condition in named.items():
        for condition, metric in by_condition.items():
            yield condition, name, metric
    for condition, seconds in one.median.items():
        yield condition, "median_seconds", Metric(seconds, one.seconds[condition].n)
    for name, single in (("gain", one.gain), ("time_ratio", one.time_ratio)):
        if single is not None:
            yield "", name, single
    for name, metric in one.reliance.items():
        yield "", name, metric


def _reading_rows(readings: Readings) -> Iterator[Sequence[object]]:
    for row, (reader, log) in enumerate(readings.logs.items()):
        for given in log.given:
            case, slot = readings.material.cases[given.slot.case], given.slot
            said, right = "", ""
            if slot.doing != "rating":
                said = "cannot tell" if given.answer is None else given.answer
                right = str(int(readings.marks(slot.doing)[row, slot.case]))
            yield (
                reader, slot.session, slot.place + 1, slot.doing, case.case, case.truth, case.answer,
                said, right, "|".join(given.flags), given.comment, given.seconds, given.openings, given.at,
            )  # fmt: skip


def _everybody(analysis: Analysis) -> tuple[ReaderFigures, ...]:
    return (*analysis.readers, analysis.all)


def _numbers(metric: Metric) -> tuple[object, ...]:
    return metric.value, metric.low, metric.high, metric.n


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def _cell(metric: Metric | None) -> str:
    return "" if metric is None else f"{metric.value_text}\n{metric.interval_text}"


def _share(metric: Metric) -> str:
    return "–" if metric.value is None else f"{metric.value:.0%}"


def _interval(metric: Metric) -> str:
    return (
        ""
        if metric.low is None or metric.high is None
        else f" [{_signed(metric.low)}, {_signed(metric.high)}]"
    )


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

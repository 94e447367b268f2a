"""A reader study analysed: its page, its figures as JSON and CSV, and its ratings put into the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.language_judge import evaluation_hash
from vrft_aug.files import write_text
from vrft_aug.reader_study.analysis import REPLICATES, Analysis, analyse, plain_analysis
from vrft_aug.reader_study.analysis_tables import figures_csv, readings_csv, sentences
from vrft_aug.reader_study.material import Material
from vrft_aug.reader_study.reader_figures import BOTH
from vrft_aug.reader_study.readings import read_readings
from vrft_aug.reader_study.reason_ratings import ReasonRatings, keep_for_report
from vrft_aug.reader_study.reliance import RELIANCE
from vrft_aug.report.page import write_page
from vrft_aug.run.layout import EVALUATION
from vrft_aug.run.lock import run_locked

WORDS = {"unaided": "without the model", "aided": "with the model"}


def write_readers(
    folder: Path,
    output: Path | None = None,
    replicates: int = REPLICATES,
    tell: Callable[[str], None] = print,
) -> Analysis:
    """Analyse a study's folder and write readers.html, .json, .csv and readings.csv there, or into `output`.

    Ratings of reasons also go into the run that they are of, for `vrft report`. Raises UserError for a folder
    that is no reader study, answers that are damaged, and where nobody has answered anything.
    """
    readings = read_readings(folder)
    if not any(log.given for log in readings.logs.values()):
        raise UserError(f"{folder} has no answers yet; let readers read first: vrft ui --study")
    analysis, place = analyse(readings, replicates), output or folder
    write_text(place / "readers.json", plain_analysis(analysis))
    write_text(place / "readers.csv", figures_csv(analysis))
    write_text(place / "readings.csv", readings_csv(readings))
    tell(f"wrote {write_readers_page(analysis, place / 'readers.html')}")
    if analysis.ratings is not None:
        tell(_keep(analysis.ratings, readings.material))
    return analysis


def write_readers_page(analysis: Analysis, path: Path) -> Path:
    """The page alone; returns its path."""
    context = {
        "title": analysis.title,
        "kicker": "VRFT-Aug reader study",
        "notes": analysis.notes,
        "cautions": [],
        "analysis": analysis,
        "sentences": sentences(analysis),
        "conditions": [one for one in BOTH if one in analysis.conditions],
        "words": WORDS,
        "reliance": RELIANCE,
    }
    return write_page(path, "readers.html", context)


def _keep(ratings: ReasonRatings, material: Material) -> str:
    """Put the ratings into their run, and say what became of them."""
    run = material.protocol.run
    if ratings.evaluation is None or run is None:
        return "the ratings are of a file of answers, so they are in no run's report"
    path = Path(run) / EVALUATION
    if not path.is_file() or evaluation_hash(path) != ratings.evaluation:
        return f"{run} is gone or was evaluated anew since, so the ratings are not put into it"
    with run_locked(Path(run), "vrft readers"):
        kept = keep_for_report(ratings, Path(run))
    return f"wrote {kept}; vrft report {run} shows the ratings"

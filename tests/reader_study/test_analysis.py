"""A played study's figures equal those of pandas, scikit-learn and statsmodels on its table of readings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from helpers.reader_studies import HABITS, Hours, opened, read_all
from helpers.synthetic_run import GRADES
from vrft_aug.reader_study.analysis import Analysis, analyse
from vrft_aug.reader_study.analysis_tables import figures_csv, readings_csv, sentences
from vrft_aug.reader_study.answer_log import ReaderLog
from vrft_aug.reader_study.desk import open_desk
from vrft_aug.reader_study.reader_figures import BOTH
from vrft_aug.reader_study.readings import Readings, of_logs, read_readings

DRAWS = 300


class Slow(Hours):
    """A clock on which every reading has time."""

    def __call__(self) -> Any:
        for _ in range(60):
            super().__call__()
        return self.now


def played(folder: Path, **settings: Any) -> Readings:
    _, material, _ = opened(folder, **settings)
    one = open_desk(folder / "out", material, Slow())
    for reader in one.readers:
        read_all(one, reader)
    return read_readings(folder / "out")


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Readings:
    return played(tmp_path_factory.mktemp("study"), rating={"cases": 15})


@pytest.fixture(scope="module")
def analysis(readings: Readings) -> Analysis:
    return analyse(readings, DRAWS)


@pytest.fixture(scope="module")
def table(readings: Readings) -> pd.DataFrame:
    """The readings as anybody gets them."""
    return pd.read_csv(io.StringIO(readings_csv(readings)), keep_default_na=False)


def of(table: pd.DataFrame, reader: str, doing: str) -> pd.DataFrame:
    return table[(table.reader == reader) & (table.doing == doing)].sort_values("case")


def test_accuracy_kappa_and_time_of_each_reader(analysis: Analysis, table: pd.DataFrame) -> None:
    assert [one.reader for one in analysis.readers] == list(HABITS)
    for one in analysis.readers:
        for doing in BOTH:
            own = of(table, one.reader, doing)
            assert len(own) == 40 == one.accuracy[doing].n
            assert one.accuracy[doing].value == pytest.approx(accuracy_score(own.truth, own.answer))
            assert one.kappa[doing].value == pytest.approx(cohen_kappa_score(own.truth, own.answer))
            grades = [[GRADES.index(grade) for grade in column] for column in (own.truth, own.answer)]
            squared = cohen_kappa_score(*grades, weights="quadratic")
            assert one.quadratic[doing].value == pytest.approx(squared)
            seconds = own.seconds.astype(float)
            assert one.seconds[doing].value == pytest.approx(np.exp(np.log(seconds).mean()))
            assert one.median[doing] == pytest.approx(seconds.median())
        assert one.time_ratio is not None and one.time_ratio.value is not None and one.time_ratio.value < 1
    for doing in BOTH:
        means = [one.accuracy[doing].value for one in analysis.readers]
        assert analysis.all.accuracy[doing].value == pytest.approx(
            np.mean([m for m in means if m is not None])
        )
    said = of(table, "good", "aided")
    assert analysis.model.value == pytest.approx(accuracy_score(said.truth, said.model))  # no answer is wrong


def test_the_gain_is_paired_and_tested_as_by_statsmodels(analysis: Analysis, table: pd.DataFrame) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    for one in analysis.readers:
        alone, aided = (
            of(table, one.reader, doing).right.astype(int).to_numpy() for doing in ("unaided", "aided")
        )
        counts = pd.crosstab(alone, aided).reindex(index=[0, 1], columns=[0, 1], fill_value=0).to_numpy()
        assert one.gain is not None and one.gain.value == pytest.approx(aided.mean() - alone.mean())
        assert (one.better, one.worse) == (counts[0, 1], counts[1, 0])
        assert one.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
        low, high = one.gain.low, one.gain.high
        assert low is not None and high is not None and one.gain.value is not None
        assert low <= one.gain.value <= high
    gains = [
        one.gain.value for one in analysis.readers if one.gain is not None and one.gain.value is not None
    ]
    assert analysis.over_readers["gain"].value == pytest.approx(np.mean(gains))
    tested = analysis.obuchowski_rockette
    assert tested is not None and tested.difference == pytest.approx(np.mean(gains))


def test_agreement_between_readers(analysis: Analysis, table: pd.DataFrame) -> None:
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    assert len(analysis.pairs) == 6
    for pair in analysis.pairs:
        a, b = (of(table, reader, pair.condition).answer for reader in (pair.first, pair.second))
        assert pair.kappa.value == pytest.approx(cohen_kappa_score(a, b)) and pair.kappa.n == 40
        grades = [[GRADES.index(grade) for grade in column] for column in (a, b)]
        assert pair.quadratic is not None
        assert pair.quadratic.value == pytest.approx(cohen_kappa_score(*grades, weights="quadratic"))
    for one in analysis.together:
        said = np.array([of(table, reader, one.condition).answer for reader in HABITS])
        assert one.fleiss.value == pytest.approx(fleiss_kappa(aggregate_raters(said.T)[0]))
        assert one.alpha.value == pytest.approx(one.fleiss.value, abs=0.02) and one.alpha_squared is not None


def test_reliance_is_what_the_readers_were_made_to_do(analysis: Analysis, table: pd.DataFrame) -> None:
    by_name = {one.reader: one.reliance for one in analysis.readers}
    assert by_name["follows"]["followed_wrong"].value == 1 == by_name["follows"]["led_astray"].value
    assert by_name["follows"]["rejected_right"].value == 0
    assert (by_name["good"]["followed_wrong"].value or 0) < 0.3
    assert 0.2 < (by_name["poor"]["followed_wrong"].value or 0) < 0.9
    for reader, figures in by_name.items():
        aided, alone = of(table, reader, "aided"), of(table, reader, "unaided")
        wrong = ((aided.model != "") & (aided.model != aided.truth)).to_numpy()
        right = (aided.model == aided.truth).to_numpy()
        same = (aided.answer == aided.model).to_numpy()
        before = (alone.right.astype(int) == 1).to_numpy()
        expected = {
            "followed_wrong": same[wrong].mean(),
            "wrong_anyway": (alone.answer == alone.model).to_numpy()[wrong].mean(),
            "rejected_right": 1 - same[right].mean(),
            "led_astray": same[wrong & before].mean(),
            "put_right": same[right & ~before].mean(),
        }
        assert {name: metric.value for name, metric in figures.items()} == pytest.approx(expected)
    assert analysis.all.reliance["followed_wrong"].n == sum(f["followed_wrong"].n for f in by_name.values())


def test_ratings_are_counted_by_flag_and_class(analysis: Analysis, table: pd.DataFrame) -> None:
    ratings, rated = analysis.ratings, table[table.doing == "rating"]
    assert ratings is not None and (ratings.raters, ratings.cases, ratings.ratings) == (3, 15, 45)
    for flag, metric in ratings.shares.items():
        has = rated["flags"].str.split("|").map(lambda flags, flag=flag: flag in flags)
        assert metric.value == pytest.approx(has.mean()) and metric.n == 45
        for label, of_class in ratings.by_class.items():
            assert of_class[flag].value == pytest.approx(has[rated.truth == label].mean())
    assert ratings.agreement["right"].value == 1 and (ratings.agreement["unsafe"].value or 0) < 0.5


def test_figures_are_the_same_as_csv_and_in_words(analysis: Analysis) -> None:
    rows = pd.read_csv(io.StringIO(figures_csv(analysis)), keep_default_na=False)
    one = rows[(rows.who == "good") & (rows.condition == "aided") & (rows.figure == "accuracy")]
    assert float(one.value.iloc[0]) == analysis.readers[0].accuracy["aided"].value
    assert len(rows) == len(rows.drop_duplicates(["who", "condition", "figure"]))
    said = " ".join(sentences(analysis))
    assert "over readers and cases" in said and "Obuchowski-Rockette" in said and "p = " in said


def test_each_case_in_one_condition_is_compared_over_readers(tmp_path: Path) -> None:
    found = analyse(played(tmp_path, each="one", readers=["good", "poor"]), DRAWS)
    assert found.obuchowski_rockette is None and found.over_readers["gain"].value is not None
    assert all(one.p is None and one.accuracy["aided"].n == 20 for one in found.readers)
    assert all(pair.kappa.value is None and pair.kappa.n == 0 for pair in found.pairs)
    assert "led_astray" not in found.all.reliance and "followed_wrong" in found.all.reliance
    assert any("different cases" in note for note in found.notes)


def test_a_study_in_the_middle_and_one_reader_alone(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, readers=["good", "poor"])
    one = open_desk(tmp_path / "out", material, Slow())
    read_all(one, "good", 50)
    found = analyse(read_readings(tmp_path / "out"), DRAWS)
    assert any("good (50 of 80), poor (0 of 80)" in note for note in found.notes)
    assert found.readers[1].accuracy["aided"].value is None and found.readers[1].done == 0
    assert found.all.accuracy["unaided"].value == found.readers[0].accuracy["unaided"].value
    only = analyse(played(tmp_path / "b", readers=["good"], conditions=["unaided"], cases=10), DRAWS)
    assert not only.pairs and not only.together and only.all.gain is None and only.all.reliance == {}


def test_cannot_tell_is_wrong_and_no_grade(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, readers=["good"], conditions=["unaided"], cases=10, cannot_tell=True)
    one = open_desk(tmp_path / "out", material, Slow())
    for place in range(10):
        one.take("good", place, answers=["cannot tell"], flags=[], comment="", seconds=1)
    found = analyse(read_readings(tmp_path / "out"), DRAWS).readers[0]
    assert found.accuracy["unaided"].value == 0 and found.accuracy["unaided"].n == 10
    empty = of_logs(material, {"good": ReaderLog()})
    assert analyse(empty, DRAWS).readers[0].accuracy["unaided"].value is None

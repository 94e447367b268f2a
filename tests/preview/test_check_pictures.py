"""`vrft check` opens pictures: a sample of them, or all with --decode, on one core or several."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.data_files import CSV, recipe_mapping, save_image, save_recipe_mapping, save_table
from vrft_aug.cli import app
from vrft_aug.data.images import FileImage
from vrft_aug.data.open_all import FEW, check_pictures, sample, sampled_pictures
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Target


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 200])


def checked(root: Path, *more: str) -> tuple[int, str]:
    recipe = recipe_mapping(root, "classify", ["dark", "bright"], CSV)
    path = save_recipe_mapping(root / "mine.yaml", recipe)
    result = CliRunner().invoke(app, ["check", str(path), *more])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


@pytest.mark.parametrize("more", [(), ("--decode",)])
def test_a_truncated_picture_is_named(tmp_path: Path, more: tuple[str, ...]) -> None:
    save_table(tmp_path)
    assert checked(tmp_path, *more)[0] == 0
    cut(tmp_path / "set/images/i3.png")
    code, said = checked(tmp_path, *more)
    assert code == 2
    assert said.count("\n") == 1
    assert f"1 of {12 if more else 11} pictures opened cannot be used: " in said  # one is for validation
    assert "i3.png of case set/test/i3 cannot be decoded: image file is truncated" in said


def test_a_narrow_picture_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    save_table(tmp_path)
    save_image(tmp_path / "set/images/i4.png", (2048, 9))
    code, said = checked(tmp_path)
    assert code == 2
    assert "i4.png" in said
    assert "2048 x 9 pixels is too narrow; expected at most 200:1" in said


def test_many_broken_ones_are_counted_in_one_line(tmp_path: Path) -> None:
    save_table(tmp_path, 40)
    for number in range(0, 40, 2):
        cut(tmp_path / f"set/images/i{number}.png")
    code, said = checked(tmp_path, "--decode")
    assert code == 2
    assert len(said) < 500
    assert "20 of 40 pictures opened" in said
    assert "and 17 more" in said


def test_only_decode_opens_every_picture(tmp_path: Path) -> None:
    save_table(tmp_path, 200)
    every = [FileImage(tmp_path / f"set/images/i{n}.png", str(n)) for n in range(200)]
    chosen = sampled_pictures(Case(image.case, (image,), Target()) for image in every)
    missed = next(image for image in every if image not in chosen)
    cut(missed.path)
    assert len(chosen) == 64
    assert chosen == sample(every)
    check_pictures(chosen)
    assert checked(tmp_path, "--decode")[0] == 2


def test_a_picture_that_several_cases_show_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cases = [Case(str(n), (FileImage(path, str(n)),), Target()) for n in range(3)]
    assert sampled_pictures(cases) == [FileImage(path, "0")]
    pages = [Case(str(n), (FileImage(path, str(n), page=n),), Target()) for n in range(3)]
    assert len(sampled_pictures(pages)) == 3


@pytest.mark.slow
def test_several_processes_say_the_same_as_one(tmp_path: Path) -> None:
    for number in range(FEW + 10):
        save_image(tmp_path / f"{number}.png", (8, 8), number)
    images = [FileImage(tmp_path / f"{number}.png", str(number)) for number in range(FEW + 10)]
    (tmp_path / "261.png").write_text("no picture")
    said = []
    for processes in (1, 2):
        opened: list[int] = []
        with pytest.raises(UserError) as caught:
            check_pictures(images, opened.append, processes)
        assert sum(opened) == len(images)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "261.png of case 261" in said[0]

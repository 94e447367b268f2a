"""Whether a run can be written where it is to go, and how much room it takes, is known before it starts."""

from pathlib import Path

import pytest

from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.run.place import check_place, check_room, in_words, run_bytes


def test_a_place_below_a_file_or_with_too_long_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file is a file, so .* cannot be a folder for the run"):
        check_place(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="cannot be made: File name too long"):
        check_place(tmp_path / ("x" * 300))
    check_place(tmp_path / "new" / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_room_is_told_by_models_and_checkpoints(tmp_path: Path) -> None:
    whole = shade_recipe(tmp_path, {**SFT, "steps": 100, "save_steps": 10}, GRPO)
    assert run_bytes(whole, 1000) == 2 * 4000 + 3 * 12_000  # two models; two checkpoints and the next
    one = shade_recipe(tmp_path, {**SFT, "steps": 5, "save_steps": 10})
    assert run_bytes(one, 1000) == 4000 + 12_000
    adapted = shade_recipe(tmp_path, GRPO, model={"lora": {"r": 4}})
    assert run_bytes(adapted, 1000) < run_bytes(shade_recipe(tmp_path, GRPO), 1000)
    assert check_room(one, tmp_path / "run", 1000) == 16_000
    with pytest.raises(UserError, match=r"needs about [\d,.]+ GB in .* GB left; choose another folder"):
        check_room(one, tmp_path / "run", 10**15)
    assert in_words(3_100_000_000) == "3.1 GB" and in_words(10) == "1 MB"

"""Questions in JSON, JSON lines, parquet and CSV: a file of each public layout, and what is refused."""

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import save_image
from helpers.question_files import COUNT, WHAT, human, layout_records, picture_bytes, write
from vrft_aug.data.cases import load_cases
from vrft_aug.data.readers.record_layouts import ORDER, layouts
from vrft_aug.data.readers.record_pictures import EncodedImage
from vrft_aug.data.readers.records import RecordsData
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, ImageRef, Task

ASK = Task("t", "answer", "?")
CHOOSE = Task("t", "choice", "?", option_seed=None)


def read(root: Path, task: Task, table: str, split: str = "train", **settings: Any) -> list[Case]:
    data = RecordsData(reader="json", table=table, images="imgs", **settings)
    return load_cases(data, task, root, split)


def test_every_shipped_layout_is_tested() -> None:
    folder = Path(__file__).parents[3] / "src" / "vrft_aug" / "data" / "readers" / "layouts"
    assert sorted(layouts()) == sorted(ORDER) == sorted(path.stem for path in folder.glob("*.yaml"))
    assert all(path.read_text().count("\n") <= 12 for path in folder.glob("*.yaml"))  # a few lines to copy


@pytest.mark.parametrize("layout", ORDER)
@pytest.mark.parametrize("named", [True, False])
def test_a_file_of_a_public_layout_is_read(layout: str, named: bool, tmp_path: Path) -> None:
    table, _ = layout_records(layout, tmp_path)
    choice = layout in ("pmc-vqa", "omnimedvqa", "medxpertqa", "problem-solution")
    splits = [
        read(tmp_path, CHOOSE if choice else ASK, table, split, layout=layout if named else "auto")
        for split in ("train", "validation", "test")
    ]
    cases = [case for part in splits for case in part]
    assert len(cases) == COUNT and len({case.id for case in cases}) == COUNT
    for case in cases:
        assert case.question == WHAT
        assert len(case.images) == (2 if layout == "medxpertqa" else 1)
        assert all(image.open().size == (40, 30) for image in case.images)
        assert pickle.loads(pickle.dumps(case)) == case
        if choice:
            assert case.target.label == "MRI" and case.options[:2] == ("CT", "MRI")
        elif layout != "pathvqa":
            assert case.target.text == "MRI"
    facets = {dict(case.facets).get("type") for case in cases}
    expected = {"vqa-rad": {"closed", "open"}, "slake": {"open"}, "pathvqa": {"closed", "open"},
                "omnimedvqa": {"modality recognition"}, "medxpertqa": {"reasoning"}}  # fmt: skip
    assert facets == expected.get(layout, {None})
    if layout == "slake":
        assert dict(cases[0].facets)["language"] == "en"
    if layout == "vqa-rad":
        assert len(splits[2]) == COUNT // 4
    pictures = [{_content(image) for case in part for image in case.images} for part in splits]
    if layout not in ("vqa-rad", "medxpertqa"):  # dealt by picture: none in two splits
        assert not pictures[0] & pictures[2] and not pictures[0] & pictures[1]


def _content(image: ImageRef) -> object:
    return image.data if isinstance(image, EncodedImage) else getattr(image, "path")  # noqa: B009


def test_pictures_as_path_list_base64_and_bytes(tmp_path: Path) -> None:
    data = picture_bytes(tmp_path)
    save_image(tmp_path / "imgs" / "a.png")
    encoded = base64.b64encode(data).decode()
    forms = [
        "a.png",
        ["a.png"],
        encoded,
        f"data:image/png;base64,{encoded}",
        [{"path": "a.png"}],
        "imgs\\a.png",
    ]
    table = write(
        tmp_path,
        "p.json",
        [{"image": one, "question": f"{i}?", "answer": "x"} for i, one in enumerate(forms)],
    )
    cases = [c for s in ("train", "validation", "test") for c in _maybe(tmp_path, table, s)]
    assert len(cases) == len(forms) and all(case.images[0].open().size == (40, 30) for case in cases)


def _maybe(root: Path, table: str, split: str) -> list[Case]:
    try:
        return read(root, ASK, table, split)
    except UserError:
        return []


def test_a_file_a_split_nested_paths_and_what_is_kept(tmp_path: Path) -> None:
    save_image(tmp_path / "imgs" / "a.png")
    record = {
        "a": {"b": [{"k": "x", "t": "no"}, {"k": "y", "t": "Where?"}]},
        "p": ["a.png"],
        "v": 3,
        "l": "en",
    }
    files: dict[Any, str] = {
        "train": write(tmp_path, "tr.json", [record, record | {"l": "zh"}]),
        "test": write(tmp_path, "te.json", [record]),
    }
    settings: dict[str, Any] = {"question": "a.b.k=y.t", "answer": "v", "image": "p.0", "keep": {"l": "en"},
                                "facets": {"language": "l"}}  # fmt: skip
    data = RecordsData(reader="json", table=files, images="imgs", **settings)
    found = {split: load_cases(data, ASK, tmp_path, split) for split in ("test",)}
    (case,) = found["test"]
    assert (case.question, case.target.text, case.facets) == ("Where?", "3", (("language", "en"),))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"image": "gone.png", "question": "?", "answer": "x"}, r"row 2: picture .*gone\.png does not exist"),
        ({"image": "a.png", "question": "?", "answer": ""}, r"row 2: answer \(data\.answer\) is empty"),
        ({"image": "a.png", "question": "", "answer": "x"}, r"row 2: question \(data\.question\) is empty"),
        ({"image": None, "question": "?", "answer": "x"}, "row 2 names no picture"),
        ({"image": "https://x/y.png", "question": "?", "answer": "x"}, "row 2: .*download it first"),
        ({"image": "a.png", "question": "?", "answer": {"a": 1}}, "row 2: answer is a mapping"),
        ({"image": [3], "question": "?", "answer": "x"}, "row 2: the picture is 3"),
    ],
)
def test_bad_records_are_one_line_with_file_and_row(
    record: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_image(tmp_path / "imgs" / "a.png")
    good = {"image": "a.png", "question": "?", "answer": "x"}
    table = write(tmp_path, "p.json", [good, record])
    with pytest.raises(UserError, match=message) as error:
        for split in ("train", "validation", "test"):
            _all(tmp_path, table, split)
    assert "p.json" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 500


def _all(root: Path, table: str, split: str) -> None:
    try:
        read(root, ASK, table, split)
    except UserError as error:
        if "no cases" not in str(error):
            raise


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gt_answer": "PET"}, r"row 1: the answer 'PET' is not among the options"),
        ({"gt_answer": "E"}, r"row 1: the answer 'E' is not among the options"),
        ({"gt_answer": "CT or MRI"}, r"row 1: the answer 'CT or MRI' is not among the options"),
        ({"gt_answer": ""}, r"row 1: gt_answer \(data\.answer\) is empty"),
        ({"option_B": "CT"}, "row 1: options 'CT' and 'CT' are read alike"),
        ({"option_B": " “ct”. "}, "row 1: options 'CT' and .* are read alike"),
        ({"option_A": "B"}, r"row 1: option 'B' is also the letter of another option"),
        ({"option_A": None, "option_B": "MRI"}, "row 1 has 1 options"),
    ],
)
def test_wrong_options_name_file_and_row(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    _, records = layout_records("omnimedvqa", tmp_path)
    table = write(tmp_path, "p.json", [record | changed for record in records])
    with pytest.raises(UserError, match=message):
        read(tmp_path, CHOOSE, table)


def test_a_conversation_without_an_answer_and_files_that_are_none(tmp_path: Path) -> None:
    save_image(tmp_path / "imgs" / "a.png")
    table = write(tmp_path, "p.json", [{"image": "a.png", "conversations": human("?")[:1]}])
    with pytest.raises(UserError, match=r"row 1 has nothing at 'conversations\.from=gpt\.value'"):
        read(tmp_path, ASK, table)
    for name, text, message in [
        ("x.json", "[1]", "row 1 is 1; expected a list of mappings"),
        ("x.json", "{", "is no JSON"),
        ("x.jsonl", '{"a": 1}\n{', "line 2 is no JSON"),
        ("x.json", "[]", "is empty"),
        ("x.json", '[{"a": 1}]', "fits none of the layouts"),
        ("x.parquet", "PAR", "cannot be read as parquet"),
    ]:
        (tmp_path / "set" / name).write_text(text)
        with pytest.raises(UserError, match=message):
            read(tmp_path, ASK, f"set/{name}")
    with pytest.raises(UserError, match=r"layout 'slak' is unknown.*did you mean 'slake'"):
        read(tmp_path, ASK, table, layout="slak")

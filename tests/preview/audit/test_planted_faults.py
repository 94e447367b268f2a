"""Each planted fault is found under its name, with case and level: pictures, boxes, labels, patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.data_files import COCO, recipe_mapping, save_coco, save_image, save_recipe_mapping
from helpers.scans import LABELS, Scans, cases_named, draw_scan, named
from vrft_aug.nouns import Box, Case, Target, Task
from vrft_aug.preview.audit.audit import audit_recipe, quick_findings
from vrft_aug.preview.audit.audited import Finding
from vrft_aug.preview.audit.burned_text import letters_in_rows
from vrft_aug.preview.audit.picture_facts import flat_border, jpeg_quality, measure_picture
from vrft_aug.preview.audit.saved_audit import Audit
from vrft_aug.preview.audit.task_reading import ReadTask
from vrft_aug.recipe.file import load_recipe


def test_blank_nearly_constant_and_truncated_pictures(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    blank = scans.add(Image.new("L", (96, 96), 7), "blank.png", "along", "train", "a")
    dull = np.random.default_rng(0).integers(100, 108, (96, 96)).astype(np.uint8)
    faint = scans.add(Image.fromarray(dull), "faint.png", "across", "train", "b")
    scans.save()
    path = tmp_path / "scans" / "s5.png"
    path.write_bytes(path.read_bytes()[:3000])
    found = named(scans.audit())
    assert {name: one.level for name, one in found.items()} == {
        "unreadable": "wrong", "blank": "wrong", "near-constant": "warning"
    }  # fmt: skip
    assert cases_named(found["blank"]) == [blank]
    assert cases_named(found["near-constant"]) == [faint]
    assert found["unreadable"].examples[0].text.endswith("cannot be decoded: image file is truncated")


def test_other_modes_depths_and_formats_are_noted(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    deep = np.asarray(draw_scan(100)).astype(np.uint16) * 257
    scans.add(Image.fromarray(deep), "deep.png", "along", "train", "a")
    scans.add(draw_scan(101).convert("RGB"), "colour.jpg", "across", "train", "b", quality=60)
    audit = scans.audit()
    finding = named(audit)["mixed-kinds"]
    assert finding.count == 2
    assert [one.text for one in finding.examples] == [
        "1 picture of PNG I;16, 16 bits", "1 picture of JPEG RGB, 8 bits"
    ]  # fmt: skip
    assert audit.tasks[0].kinds == {"PNG L, 8 bits": 48, "PNG I;16, 16 bits": 1, "JPEG RGB, 8 bits": 1}


def test_burned_in_letters_are_told_and_texture_is_not(tmp_path: Path) -> None:
    blank = np.full((300, 300), 20, dtype=np.uint8)
    assert letters_in_rows(blank) == 0
    assert letters_in_rows(np.random.default_rng(0).integers(0, 256, (300, 300)).astype(np.uint8)) == 0
    assert letters_in_rows(np.asarray(draw_scan(0, side=300))) == 0
    for ground, ink in ((20, 250), (240, 10)):
        image = Image.new("L", (300, 300), ground)
        ImageDraw.Draw(image).text((15, 260), "DOE JANE 1961", fill=ink)
        assert letters_in_rows(np.asarray(image)) >= 8
    scans = Scans(tmp_path)
    image = draw_scan(200, side=300)
    ImageDraw.Draw(image).rectangle((0, 250, 300, 300), fill=15)
    ImageDraw.Draw(image).text((15, 270), "LEFT BREAST", fill=245)
    marked = scans.add(image, "marked.png", "along", "train", "a")
    assert cases_named(named(scans.audit())["burned-in-text"]) == [marked]


def test_borders_and_quality_are_measured(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 200)).astype(np.uint8)
    image[:, :20] = 0
    image[-30:] = 255
    left, top, right, bottom = flat_border(image)
    assert (top, right, bottom) == (0.0, 0.0, 0.3)
    assert left == 0.0  # the lower band crosses the left columns
    image[-30:, :20] = 0
    image[-30:, 20:] = np.random.default_rng(1).integers(0, 256, (30, 180))
    assert flat_border(image)[0] == 0.1
    for quality in (20, 50, 75, 95):
        save = tmp_path / f"{quality}.jpg"
        draw_scan(0).save(save, quality=quality)
        with Image.open(save) as opened:
            found = jpeg_quality(getattr(opened, "quantization", None))
        assert found is not None and abs(found - quality) <= 1
    assert jpeg_quality(None) is None


def test_a_label_that_the_file_alone_predicts_is_a_shortcut(tmp_path: Path) -> None:
    """One class from another device: another JPEG quality, a border, another size; each is told."""
    scans = Scans(tmp_path, 0)
    rng = np.random.default_rng(0)
    for number in range(80):
        label = LABELS[number % 2]
        image = draw_scan(number, label)
        side = int(rng.integers(90, 100)) if label == "along" else int(rng.integers(104, 116))
        image = image.resize((side, side))
        split = ("train", "train", "train", "test")[number // 2 % 4]
        quality = int(rng.integers(60, 70)) if label == "along" else int(rng.integers(85, 95))
        scans.add(image, f"s{number}.jpg", label, split, f"p{number}", quality=quality)
    audit = scans.audit()
    finding = named(audit)["shortcut"]
    assert finding.level == "warning"
    aucs = {(one.nuisance, one.label): one.auc for one in audit.tasks[0].shortcuts}
    assert aucs["size", "along"] > 0.95
    assert aucs["JPEG quality", "across"] > 0.95
    assert aucs["brightness", "along"] < 0.75
    assert "tells along with an AUC of" in finding.what


def test_copies_do_not_leak_into_the_shortcut_classifier(tmp_path: Path) -> None:
    """Five copies of each picture, labels at random: no nuisance tells them once copies stay together."""
    scans = Scans(tmp_path, 0)
    labels = np.random.default_rng(3).integers(0, 2, 30)
    for number in range(30):
        for copy in range(5):
            image = draw_scan(number)
            scans.add(image, f"s{number}-{copy}.png", LABELS[labels[number]], "train", "")
    aucs = [one.auc for one in scans.audit().tasks[0].shortcuts if one.nuisance == "brightness"]
    assert max(aucs) < 0.75


def test_a_patient_in_two_splits_is_wrong_unless_accepted(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(draw_scan(100), "x.png", "along", "test", "p0")
    scans.save(shared_patients="accept")
    audit = audit_recipe(load_recipe(str(tmp_path / "mine.yaml")))[0]
    finding = named(audit)["patients-across-splits"]
    assert (finding.level, finding.count, finding.accepted) == ("wrong", 1, True)
    assert "p0" not in finding.what + finding.examples[0].text  # ids of patients stay where they are
    assert audit.of_level("wrong") == []


def test_series_and_augmented_names_across_splits_are_told(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 0)
    for scan in range(8):
        for frame in range(4):
            split = "test" if frame == 3 else "train"
            scans.add(
                draw_scan(10 * scan + frame), f"scan{scan:02}_{frame:03}.png", LABELS[scan % 2], split, ""
            )
    found = named(scans.audit(patient_column=None))
    assert found["series-across-splits"].count == 8
    assert cases_named(found["series-across-splits"])[:2] == [
        "scans/train/scan00_000",
        "scans/test/scan00_003",
    ]


@pytest.mark.parametrize("suffix", ["_aug1", "_flip", "_rot90", "-copy", " (1)", "_flipped_bright"])
def test_a_name_that_says_how_it_was_made_is_told(tmp_path: Path, suffix: str) -> None:
    scans = Scans(tmp_path)
    scans.rows = [type(row)(row.image, row.label, row.split, "") for row in scans.rows]
    scans.add(draw_scan(300), f"s0{suffix}.png", "along", "test", "")
    found = named(scans.audit(patient_column=None))
    assert found["series-across-splits"].count == 1
    assert cases_named(found["series-across-splits"])[0] == "scans/train/s0"


def test_numbered_files_are_no_series(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 0)
    for number in range(30):
        name = f"benign ({number}).png" if number % 2 else f"IMG_{number:03}.png"
        scans.add(draw_scan(number), name, LABELS[number % 2], ("train", "test")[number // 2 % 2], "")
    assert "series-across-splits" not in named(scans.audit(patient_column=None))


def test_rare_absent_lopsided_and_uneven_labels(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 0)
    for number in range(110):
        label = "across" if number < 4 else "along"
        split = "train" if number < 100 else "validation" if number < 103 else "test"
        scans.add(draw_scan(number, label), f"s{number}.png", label, split, f"p{number}")
    found = named(scans.audit())
    assert found["rare-label"].examples[0].text == "across: 4 cases in train"
    assert found["imbalance"].what == "in train along is 24 times as frequent as across"
    assert "no across in test" in [one.text for one in found["label-absent"].examples]
    assert {found[name].level for name in ("rare-label", "label-absent")} == {"warning"}
    scans.rows = scans.rows[:58]
    scans.add(draw_scan(400), "v.png", "along", "validation", "v")  # else some of train become validation
    for number in range(40):
        label = "across" if number < 30 else "along"
        scans.add(draw_scan(500 + number, label), f"t{number}.png", label, "test", f"q{number}")
    told = [one.text for one in named(scans.audit())["uneven-splits"].examples]
    assert "across: 7% of train, 75% of test" in told


def audit_boxes(root: Path, boxes: dict[str, Sequence[tuple[str, Sequence[float]]]]) -> Audit:
    save_coco(root, boxes, size=(80, 60))
    for number, name in enumerate(boxes):
        draw_scan(number, side=80).resize((80, 60)).save(root / "set" / name)
    recipe = recipe_mapping(root, "localise", ["spot", "disc"], COCO)
    path = save_recipe_mapping(root / "mine.yaml", recipe)
    return audit_recipe(load_recipe(str(path), ["model.min_pixels=3136", "model.max_pixels=12544"]))[0]


def test_tiny_covering_and_doubled_boxes(tmp_path: Path) -> None:
    fine = [("spot", (10, 10, 20, 20)), ("disc", (40, 20, 20, 20))]
    boxes: dict[str, Sequence[tuple[str, Sequence[float]]]] = {f"i{n}.png": fine for n in range(12)}
    boxes["i1.png"] = [*fine, ("spot", (5, 5, 2, 12))]
    boxes["i2.png"] = [("disc", (0, 0, 80, 59))]
    boxes["i3.png"] = [*fine, ("spot", (10.5, 10, 20, 20))]
    boxes["i4.png"] = [*fine, ("disc", (10, 10, 20, 20))]  # another label: no double
    found = named(audit_boxes(tmp_path, boxes))
    assert {name: found[name].count for name in found if name.startswith("boxes")} == {
        "boxes-tiny": 1, "boxes-covering": 1, "boxes-doubled": 1
    }  # fmt: skip
    assert found["boxes-tiny"].examples[0].text == "spot [5, 5, 7, 17] in a picture of 80 x 60 pixels"
    assert found["boxes-tiny"].examples[0].boxes == (Box(5, 5, 7, 17, "spot"),)
    assert found["boxes-covering"].examples[0].cases[0].endswith("i2")


def test_boxes_outside_their_picture_are_wrong() -> None:
    """The readers refuse or clip them; a reader of one's own may not."""
    inside, out = (
        Case("a", (), Target(boxes=(Box(0, 0, 5, 5),))),
        Case("b", (), Target(boxes=(Box(5, 5, 5, 9),))),
    )
    quick = _quick([inside, out])
    assert "boxes-outside" not in quick  # sizes are not known without a look
    tiny = quick["boxes-tiny"]
    assert cases_named(tiny) == ["b"]


def test_lesions_in_visual_tokens(tmp_path: Path) -> None:
    boxes: dict[str, Sequence[tuple[str, Sequence[float]]]] = {
        f"i{n}.png": [("spot", (10, 10, 8, 8)), ("disc", (40, 20, 32, 32))] for n in range(10)
    }
    audit = audit_boxes(tmp_path, boxes)
    seen = audit.tasks[0].seen
    assert seen is not None
    assert {one.label: (one.boxes, one.below) for one in seen.lesions} == {"spot": (10, 10), "disc": (10, 0)}
    scale = seen.scale.median
    assert seen.lesions[1].side.median == pytest.approx(8 * scale / seen.token_side, abs=0.03)
    assert named(audit)["small-lesions"].count == 10
    assert seen.tokens.median == pytest.approx(80 * 60 * scale**2 / seen.token_side**2, rel=0.01)


def test_without_a_picture_opened_the_same_file_counts(tmp_path: Path) -> None:
    from vrft_aug.data.images import FileImage

    image = FileImage(tmp_path / "absent.png")
    train = [Case("a", (image,), Target(label="along")), Case("b", (image,), Target(label="across"))]
    test = [Case("c", (FileImage(tmp_path / "absent.png", "c"),), Target(label="along"), patient="p")]
    found = _quick(train, test)
    assert {name: one.level for name, one in found.items()} == {
        "copies-across-splits": "wrong", "contradicting-labels": "wrong"
    }  # fmt: skip


def _quick(train: Sequence[Case], test: Sequence[Case] = ()) -> dict[str, Finding]:
    task = Task("look", "classify", "?", LABELS)
    return {one.name: one for one in quick_findings([ReadTask(task, {"train": train, "test": test})])}


def test_facts_of_a_picture_that_is_no_file_of_its_own(tmp_path: Path) -> None:
    from vrft_aug.data.images import FileImage

    save_image(tmp_path / "a.png", (40, 30))
    facts = measure_picture(FileImage(tmp_path / "a.png"))
    assert (facts.size, facts.suffix, facts.format, facts.bits) == ((40, 30), ".png", "PNG", 8)
    assert len(facts.thumb) == 32 * 32
    missing = measure_picture(FileImage(tmp_path / "b.png", "c7"))
    assert missing.error is not None and "c7" in missing.error and missing.pixel_hash == ""

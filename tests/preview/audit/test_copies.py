"""Copies: equal, altered, across splits and tasks; and that pictures that are alike are not called copies."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from helpers.data_files import save_recipe_mapping
from helpers.scans import LABELS, Change, Scans, cases_named, draw_scan, named
from vrft_aug.preview.audit.audit import audit_recipe
from vrft_aug.preview.audit.fingerprints import fingerprint
from vrft_aug.preview.audit.near_search import near_pairs
from vrft_aug.preview.audit.picture_facts import PictureFacts, measure_picture
from vrft_aug.recipe.file import load_recipe


def compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=30)
    return Image.open(buffer)


def cropped(image: Image.Image) -> Image.Image:
    margin = round(image.width * 0.05)
    return image.crop((margin, margin, image.width - margin, image.height - margin))


ALTERED: dict[str, Change] = {
    "compressed": compressed,
    "half the size": lambda image: image.resize((48, 48)),
    "other proportions": lambda image: image.resize((140, 90)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "blurred a little": lambda image: image.filter(ImageFilter.GaussianBlur(0.8)),
    "mirrored left to right": ImageOps.mirror,
    "mirrored top to bottom": ImageOps.flip,
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180°": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "mirrored and darker": lambda image: ImageEnhance.Brightness(ImageOps.mirror(image)).enhance(0.8),
    "cropped to 90%": cropped,
}


def test_clean_scans_have_no_finding_at_all(tmp_path: Path) -> None:
    audit = Scans(tmp_path).audit()
    assert audit.findings == ()
    assert audit.pictures == 48
    (task,) = audit.tasks
    assert [(one.split, one.cases, one.patients) for one in task.splits] == [
        ("train", 24, 24), ("validation", 12, 12), ("test", 12, 12)
    ]  # fmt: skip
    assert task.splits[0].labels == {"along": 12, "across": 12}


def test_equal_pixels_across_splits_are_wrong_and_named(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    copy = scans.add(scans.picture(0), "other.bmp", "along", "test", "q1")
    finding = named(scans.audit())["copies-across-splits"]
    assert (finding.level, finding.count, finding.accepted) == ("wrong", 1, False)
    assert cases_named(finding) == ["scans/train/s0", copy]
    assert "equal pixels" in finding.examples[0].text  # a bmp of a png
    assert finding.what == "1 picture in two splits or more (2 cases)"


def test_equal_files_within_a_split_are_a_warning(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    for name in ("b.png", "c.png"):
        scans.add(scans.picture(0), name, "along", "train", "p0")
    found = named(scans.audit())
    assert found.keys() == {"copies"}
    assert found["copies"].level == "warning"
    assert found["copies"].what == "1 group of equal pictures within a split, 2 too many"
    assert "equal files" in found["copies"].examples[0].text


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_copy_in_another_split_is_wrong(tmp_path: Path, how: str) -> None:
    scans = Scans(tmp_path, 40)
    copy = scans.add(ALTERED[how](scans.picture(1)), "new.png", "across", "test", "q1")
    finding = named(scans.audit())["altered-copies-across-splits"]
    assert (finding.level, finding.count) == ("wrong", 1)
    assert cases_named(finding) == ["scans/train/s1", copy]
    told = finding.examples[0].text
    if how in ("mirrored left to right", "mirrored top to bottom", "turned by 180°"):
        assert how in told
    if how.startswith("cropped"):
        assert "cropped to 90% of its sides (centre)" in told


def test_of_few_pictures_copies_are_found_too(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 8)
    scans.add(ImageOps.mirror(scans.picture(1)), "new.png", "across", "test", "q1")
    assert named(scans.audit())["altered-copies-across-splits"].count == 1


def test_an_altered_copy_within_a_split_is_a_note(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(compressed(scans.picture(1)), "new.png", "across", "train", "p1")
    found = named(scans.audit())
    assert {name: one.level for name, one in found.items()} == {"altered-copies": "note"}


def test_a_copy_with_another_label_is_told(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(compressed(scans.picture(1)), "new.png", "along", "train", "p1")
    finding = named(scans.audit())["copies-disagree"]
    assert finding.examples[0].text.startswith("across or along; likeness ")
    assert cases_named(finding) == ["scans/train/s1", "scans/train/new"]


def test_equal_pictures_with_contradicting_labels_are_wrong(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(scans.picture(0), "again.png", "across", "train", "p0")
    found = named(scans.audit())
    assert found["contradicting-labels"].level == "wrong"
    assert found["contradicting-labels"].examples[0].text == "along or across"


def test_pictures_of_one_lighting_are_not_called_copies(tmp_path: Path) -> None:
    """A bright disc on black, as every fundus photograph is; what is in it differs."""
    y, x = np.mgrid[0:96, 0:96]
    disc = (x - 48) ** 2 + (y - 48) ** 2 < 44**2
    shade = 200 - 0.03 * ((x - 30) ** 2 + (y - 40) ** 2)
    facts = []
    for seed in range(40):
        scan = np.asarray(draw_scan(seed), dtype=float)
        inside = np.clip(shade + 0.25 * (scan - scan.mean()), 0, 255)
        facts.append(measure_picture(_Held(Image.fromarray(np.where(disc, inside, 0).astype(np.uint8)))))
    assert near_pairs(facts) == []


def test_pictures_of_two_tasks_in_different_splits_are_wrong(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 16)
    path = scans.save()
    recipe: dict[str, Any] = load_recipe(str(path)).model_dump(mode="json")
    scans.rows = [
        type(row)(row.image, row.label, "test" if row.split == "train" else "train", row.patient)
        for row in scans.rows
    ]
    (tmp_path / "scans/table.csv").rename(tmp_path / "scans/first.csv")
    scans.save()
    other = recipe["tasks"]["look"]
    recipe["tasks"] = {
        "look": other | {"data": other["data"] | {"table": "scans/first.csv"}}, "again": dict(other)
    }  # fmt: skip
    both = save_recipe_mapping(tmp_path / "two.yaml", recipe)
    audit, _ = audit_recipe(load_recipe(str(both)))
    finding = named(audit)["copies-across-tasks"]
    assert (finding.count, finding.task) == (16, "look, again")
    assert "copies-across-splits" not in named(audit)


def test_the_frames_of_a_film_are_bounded_and_each_is_found() -> None:
    """All are copies of all others: each has partners, and there are not as many pairs as there could be."""
    rng = np.random.default_rng(0)
    scan = np.asarray(draw_scan(0), dtype=float)
    frames = [np.clip(scan + rng.normal(0, 4, scan.shape), 0, 255).astype(np.uint8) for _ in range(120)]
    others = [draw_scan(seed) for seed in range(1, 120)]
    pictures = [*others[:60], *(Image.fromarray(frame) for frame in frames), *others[60:]]
    found = near_pairs([measure_picture(_Held(one)) for one in pictures])
    seen = {place for pair in found for place in (pair.first, pair.second)}
    assert seen == set(range(60, 180))
    assert 120 <= len(found) <= 20 * 120 < 120 * 119 / 2
    last = [pair for pair in found if pair.second >= 170]
    assert {pair.second for pair in last} == set(range(170, 180))
    assert min(pair.first for pair in last) < 90  # also with the first, which may be of another split


def test_the_fingerprint_is_the_dct_hash() -> None:
    """Bit for bit as its definition with scipy's DCT: low frequencies above their median."""
    from scipy.fft import dctn

    thumbs = np.random.default_rng(0).integers(0, 256, (5, 32, 32)).astype(np.float32)
    expected = []
    for thumb in thumbs:
        low = dctn(thumb.astype(np.float64), type=2)[:8, :8]
        bits = (low > np.median(low)).ravel()
        expected.append(int("".join("1" if bit else "0" for bit in bits), 2))
    assert fingerprint(thumbs).tolist() == expected


def test_flat_and_broken_pictures_are_nobodys_copies() -> None:
    flat = measure_picture(_Held(Image.new("L", (64, 64), 90)))
    broken = PictureFacts(error="cut")
    assert near_pairs([flat, flat, broken, broken]) == []
    assert near_pairs([]) == []


class _Held:
    """A picture in memory."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image

    def open(self) -> Image.Image:
        return self.image.convert("RGB")


def test_labels_are_drawn_apart() -> None:
    assert draw_scan(0, LABELS[0]).tobytes() != draw_scan(0, LABELS[1]).tobytes()

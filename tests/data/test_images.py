"""Pictures of every mode become upright RGB; broken ones become one line."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_image, save_medmnist
from vrft_aug.data import npz
from vrft_aug.data.images import ArrayImage, FileImage, header_size
from vrft_aug.errors import UserError


def pixels(path: Path) -> np.ndarray:
    image = FileImage(path).open()
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 100], [200, 255]], np.uint8)).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png")[1, 0].tolist() == [200, 200, 200]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_is_stretched_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    twelve_bits = np.array([[0, 1024], [2048, 4096]], np.uint16)
    Image.fromarray(twelve_bits).save(tmp_path / f"a.{suffix}")
    assert pixels(tmp_path / f"a.{suffix}")[..., 0].tolist() == [[0, 64], [128, 255]]


def test_float_and_flat_pictures_do_not_fail(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, np.nan, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 0, 255]  # no number: black
    Image.fromarray(np.full((2, 2), 700, np.uint16)).save(tmp_path / "b.png")
    assert pixels(tmp_path / "b.png").max() == 0


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_transparency_is_composited_on_black(tmp_path: Path) -> None:
    rgba = np.array([[[200, 100, 50, 0], [200, 100, 50, 255]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").tolist() == [[[0, 0, 0], [200, 100, 50]]]
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "b.png", transparency=0)
    assert pixels(tmp_path / "b.png").tolist() == [[[0, 0, 0], [0, 0, 255]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "CMYK", "YCbCr", "RGB"])
def test_all_other_modes_decode(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    # Pillow before 13 cannot read back the YCbCr TIFF that it writes; with LZW it goes through libtiff.
    Image.new(mode, (3, 2)).save(
        tmp_path / f"a.{suffix}", compression="tiff_lzw" if suffix == "tif" else None
    )
    assert pixels(tmp_path / f"a.{suffix}").shape == (2, 3, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_are_applied_and_the_header_agrees(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_image(tmp_path / "plain.png", (40, 30))
    Image.open(tmp_path / "plain.png").save(tmp_path / "a.jpg", exif=exif)
    upright = FileImage(tmp_path / "a.jpg").open()
    assert upright.size == ((30, 40) if orientation >= 5 else (40, 30))
    assert header_size(tmp_path / "a.jpg") == upright.size


def test_broken_files_name_file_and_case(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    good = save_image(tmp_path / "good.png", (200, 200)).read_bytes()
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    for name in ("text.png", "cut.png", "absent.png"):
        with pytest.raises(UserError) as caught:
            FileImage(tmp_path / name, "set/test/7").open()
        assert name in str(caught.value)
        assert "set/test/7" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_image(tmp_path / "a.png", (100, 100))
    monkeypatch.setenv("VRFT_MAX_PIXELS", "1000")
    with pytest.raises(UserError, match="cannot be decoded"):
        FileImage(tmp_path / "a.png").open()


def test_array_images_are_pickled_without_pixels_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_medmnist(tmp_path / "a.npz", count=50)
    reads = []
    read = npz.read_array

    def counted(*where: Any) -> Any:
        reads.append(where)
        return read(*where)

    monkeypatch.setattr(npz, "read_array", counted)
    images = [ArrayImage(path, "test_images", i) for i in range(50)]
    copies = pickle.loads(pickle.dumps(images))
    assert len(pickle.dumps(images[7])) < 1000
    wanted = np.load(path)["test_images"]
    assert all(np.array_equal(np.asarray(image.open()), wanted[i]) for i, image in enumerate(copies))
    assert len(reads) == 1


def test_large_arrays_are_mapped_from_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_medmnist(tmp_path / "large.npz", grey=True)
    monkeypatch.setattr(npz, "IN_MEMORY", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = ArrayImage(path, "val_images", 3).open()
    assert np.array_equal(np.asarray(image)[..., 0], np.load(path)["val_images"][3])
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1

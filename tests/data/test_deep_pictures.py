"""Pictures of more than 8 bits, turned, of several pages, narrow: what is shown, and what is refused."""

import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from vrft_aug.data.images import FileImage, header_size, read_header
from vrft_aug.data.orientation import turn, turn_box
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box

GRADIENT = np.add.outer(np.arange(48) * 40, np.arange(64) * 30)  # 0 to 3770, as a 12-bit film


def pixels(path: Path, page: int | None = None) -> np.ndarray:
    return np.asarray(FileImage(path, page=page).open())


def save_png16(path: Path, values: np.ndarray) -> Path:
    """A PNG of 16 bits a channel, (h, w, 2 or 3 or 4); Pillow writes none."""
    kind = {2: 4, 3: 2, 4: 6}[values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def save_tiff(
    path: Path,
    values: np.ndarray,
    order: Literal["<", ">"] = "<",
    white_is_zero: bool = False,
    packed: bool = False,
) -> Path:
    """A TIFF of any number of channels, depth and sign, in either byte order, deflated where `packed`."""
    height, width, channels = (*values.shape, 1)[:3]
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if packed else body
    photometric = 0 if white_is_zero else 2 if channels == 3 else 1
    sign = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    bits = values.dtype.itemsize * 8
    entries = [
        (256, 3, [width]),
        (257, 3, [height]),
        (258, 3, [bits] * channels),
        (259, 3, [8 if packed else 1]),
    ]
    entries += [(262, 3, [photometric]), (273, 4, [8]), (277, 3, [channels]), (278, 3, [height])]
    entries += [(279, 4, [len(body)]), (339, 3, [sign] * channels)]
    directory = 8 + len(body) + len(body) % 2
    extra = directory + 2 + 12 * len(entries) + 4
    table, tail = struct.pack(order + "H", len(entries)), b""
    for tag, kind, numbers in entries:
        cell = struct.pack(order + ("H" if kind == 3 else "I") * len(numbers), *numbers)
        if len(cell) > 4:
            tail, cell = tail + cell, struct.pack(order + "I", extra + len(tail))
        table += struct.pack(order + "HHI", tag, kind, len(numbers)) + cell.ljust(4, b"\0")
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory)
    padding = b"\0" * (len(body) % 2)
    path.write_bytes(start + body + padding + table + struct.pack(order + "I", 0) + tail)
    return path


def test_a_hot_pixel_or_a_marker_does_not_darken_a_film(tmp_path: Path) -> None:
    film = GRADIENT.astype(np.uint16)
    Image.fromarray(film).save(tmp_path / "film.png")
    hot = film.copy()
    hot[0, 0] = 65535
    Image.fromarray(hot).save(tmp_path / "hot.png")
    marked = film.copy()
    marked[:3, :4] = 65535  # 12 of 3,072 pixels, 0.4 %
    Image.fromarray(marked).save(tmp_path / "marked.png")
    plain = pixels(tmp_path / "film.png").astype(int)
    assert plain.min() == 0
    assert plain.max() == 255
    for name in ("hot.png", "marked.png"):
        assert abs(pixels(tmp_path / name).astype(int) - plain)[3:].max() <= 16  # 0.5 % of the gradient
        assert pixels(tmp_path / name)[0, 0].tolist() == [255] * 3


def test_nothing_is_cut_off_where_there_are_no_outliers(tmp_path: Path) -> None:
    """A small bright lesion keeps its shades: the range is only narrowed by what lies far outside."""
    film = np.full((100, 100), 1000, np.uint16)
    film[:50] = 200
    film[10, 10:14] = [1010, 1040, 1070, 1100]
    Image.fromarray(film).save(tmp_path / "a.png")
    seen = pixels(tmp_path / "a.png")[10, 10:14, 0].astype(int)
    assert (np.diff(seen) > 5).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_unsigned_and_float_tiffs_show_the_same(tmp_path: Path, order: Literal["<", ">"]) -> None:
    wanted = np.rint(GRADIENT * (255 / GRADIENT.max()))
    for kind, shift in (("u2", 0), ("i2", -1024), ("i4", -70000), ("f4", -1.5)):
        values = (GRADIENT + shift).astype(kind)
        shown = pixels(save_tiff(tmp_path / f"{kind}.tif", values, order))
        assert abs(shown[..., 0] - wanted).max() <= 1, kind
    signed = (GRADIENT / 20 - 100).astype(np.int8)  # -100 to 88: Pillow alone wraps below zero
    shown = pixels(save_tiff(tmp_path / "i1.tif", signed, order))[..., 0].astype(int)
    assert abs(shown - (signed + 100.0) * 255 / (int(signed.max()) + 100)).max() <= 1
    large = (GRADIENT.astype(np.uint32) + 2**31 - 2000).astype(np.uint32)  # across what int32 holds
    assert abs(pixels(save_tiff(tmp_path / "u4.tif", large, "<"))[..., 0] - wanted).max() <= 1


def test_white_is_zero_films_are_inverted_at_any_depth(tmp_path: Path) -> None:
    film = GRADIENT.astype(np.uint16)
    dark = pixels(save_tiff(tmp_path / "min_is_white.tif", film, white_is_zero=True))
    assert dark[0, 0, 0] == 255
    assert dark[-1, -1, 0] == 0
    eight = (GRADIENT // 16).astype(np.uint8)
    assert pixels(save_tiff(tmp_path / "eight.tif", eight, white_is_zero=True))[0, 0, 0] == 255


def test_no_number_is_black_and_infinity_is_white(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 255, 0, 255, 0]
    Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(tmp_path / "b.tif")
    assert pixels(tmp_path / "b.tif").max() == 0


@pytest.mark.parametrize("kind", ["png", "little.tif", "big.tif", "deflated.tif"])
def test_12_bits_in_16_bit_colour_are_seen_and_keep_their_hue(tmp_path: Path, kind: str) -> None:
    colour = np.stack([GRADIENT, GRADIENT // 2, GRADIENT // 4], axis=-1).astype(np.uint16)
    path = tmp_path / f"a.{kind}"
    if kind == "png":
        save_png16(path, colour)
    else:
        save_tiff(path, colour, ">" if kind == "big.tif" else "<", packed=kind == "deflated.tif")
    seen = pixels(path).astype(float)
    wanted = colour * (255 / colour.max())
    assert abs(seen - wanted).max() <= 1


def test_16_bit_transparency_is_composited_on_black(tmp_path: Path) -> None:
    colour = np.full((4, 4, 4), 4000, np.uint16)
    colour[..., 3] = 65535
    colour[0, :, 3] = 0
    seen = pixels(save_png16(tmp_path / "a.png", colour))
    assert seen[0].max() == 0
    assert seen[1:].min() == 255


def test_what_cannot_be_read_whole_is_refused(tmp_path: Path) -> None:
    save_png16(tmp_path / "grey_alpha.png", np.full((4, 4, 2), 4000, np.uint16))
    with pytest.raises(UserError, match="LA with 16 bits"):
        pixels(tmp_path / "grey_alpha.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"])
def test_plain_8_bit_pictures_stay_as_pillow_has_them(tmp_path: Path, mode: str) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(drawn).convert(mode).save(path)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels(path), wanted)


def test_jpeg_2000_grey_colour_and_16_bits(tmp_path: Path) -> None:
    eight = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(eight).save(tmp_path / "a.jp2", irreversible=False)
    assert np.array_equal(pixels(tmp_path / "a.jp2"), eight)
    Image.fromarray(GRADIENT.astype(np.uint16)).save(tmp_path / "b.jp2", irreversible=False)
    assert abs(pixels(tmp_path / "b.jp2")[..., 0] - GRADIENT * (255 / GRADIENT.max())).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_masks_turn_along_with_all_eight_orientations(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    stored = np.zeros((60, 80, 3), np.uint8)
    stored[8:24, 40:72] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(stored).save(path, exif=exif, quality=95)
    header = read_header(path)
    assert header.stored == (80, 60)
    assert header.orientation == orientation
    seen = pixels(path)[..., 0] > 127
    assert header_size(path) == header.size == seen.shape[::-1]
    box = turn_box(Box(40, 8, 72, 24, "spot"), header.orientation, header.stored)
    rows, columns = np.nonzero(seen)
    assert (box.x1, box.y1, box.x2, box.y2) == (
        columns.min(), rows.min(), columns.max() + 1, rows.max() + 1,
    )  # fmt: skip
    assert np.array_equal(np.asarray(turn(Image.fromarray(stored[..., 0]), orientation)) > 127, seen)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16", "1"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_plain_tiffs_of_all_modes_are_turned(tmp_path: Path, mode: str, orientation: int) -> None:
    """Pillow maps some of them into memory, by a size that is turned already: they came out as noise."""
    stored = Image.new("L", (80, 60), 0)
    stored.paste(255, (40, 8, 72, 24))
    if mode == "CMYK":
        picture = stored.convert("RGB").convert("CMYK")
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(stored).astype(np.uint16) * 16)
    else:
        picture = stored.convert(mode)
    picture.save(tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    expected = np.asarray(turn(stored, orientation)) > 127
    assert np.array_equal(pixels(tmp_path / "a.tif")[..., 0] > 127, expected)


def test_a_header_is_read_without_decoding_also_where_exif_stands_last(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (40, 30)).save(tmp_path / "a.png", exif=exif)
    whole = (tmp_path / "a.png").read_bytes()
    at = whole.index(b"eXIf") - 4
    length = 12 + int.from_bytes(whole[at : at + 4], "big")
    end = whole.index(b"IEND") - 4
    late = whole[:at] + whole[at + length : end] + whole[at : at + length] + whole[end:]
    (tmp_path / "late.png").write_bytes(late)
    assert FileImage(tmp_path / "late.png").open().size == header_size(tmp_path / "late.png") == (30, 40)
    broken = bytearray(whole)
    data = broken.index(b"IDAT") + 4
    broken[data : data + 8] = b"no zlib!"
    (tmp_path / "broken.png").write_bytes(bytes(broken))
    assert header_size(tmp_path / "broken.png") == (30, 40)


def test_a_16_bit_picture_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GRADIENT.astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    seen = pixels(tmp_path / "a.png")[..., 0]
    assert seen.shape == (64, 48)
    assert seen[0, -1] == 0  # the stored top left corner
    assert seen[-1, 0] == 255


def test_of_several_pages_one_has_to_be_named(tmp_path: Path) -> None:
    pages = [Image.new("L", (20 + n, 10), 50 * n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    for name in ("a.tif", "a.gif"):
        with pytest.raises(UserError, match="3 pages or frames"):
            pixels(tmp_path / name)
    assert pixels(tmp_path / "a.tif", page=2).max() == 100
    assert header_size(tmp_path / "a.tif", page=2) == (22, 10)
    with pytest.raises(UserError, match="no page 3; its 3 pages"):
        pixels(tmp_path / "a.tif", page=3)


def test_a_smaller_copy_behind_a_page_is_no_second_page(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    thumbnail = Image.new("L", (4, 4), 9)
    thumbnail.encoderinfo = {"tiffinfo": tags}
    whole = Image.new("L", (40, 40), 200)
    whole.save(tmp_path / "a.tif", save_all=True, append_images=[thumbnail])
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(1)
        assert getattr(image, "tag_v2").get(254) == 1  # noqa: B009
    assert pixels(tmp_path / "a.tif").shape == (40, 40, 3)


def test_too_narrow_a_picture_is_refused(tmp_path: Path) -> None:
    Image.new("L", (2001, 10)).save(tmp_path / "long.png")
    Image.new("L", (2000, 10)).save(tmp_path / "fits.png")
    with pytest.raises(UserError, match=r"long.png of case set/3 .*2001 x 10 .* at most 200:1"):
        FileImage(tmp_path / "long.png", "set/3").open()
    assert pixels(tmp_path / "fits.png").shape == (10, 2000, 3)

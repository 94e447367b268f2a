"""DICOM pixels: equal to pydicom's own pipeline and, for windows, to another reader's."""

import pickle
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.dicom_files import dicom_dataset, item, save_dicom
from vrft_aug.data.dicom.dicom_pixels import DicomImage, windowed
from vrft_aug.errors import UserError

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"  # those that come with the package
HOUNSFIELD = np.add.outer(np.arange(64) * 30, np.arange(80) * 10).astype(np.int16) - 1000  # -1000 to 1680


def pixels(path: Path, **options: Any) -> np.ndarray:
    return np.asarray(DicomImage(path, **options).open())


def pipeline(path: Path, frame: int = 0, index: int = 0) -> np.ndarray:
    """What pydicom makes of a grey file."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        values: np.ndarray = apply_voi_lut(
            apply_modality_lut(pixel_array(data, index=frame), data), data, index
        )
        return values


def words(numbers: Iterable[int]) -> bytes:
    return np.array(list(numbers), "<u2").tobytes()


WINDOWS: list[dict[str, Any]] = [
    {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400},
    {"RescaleSlope": 2.5, "RescaleIntercept": 7, "WindowCenter": [40, 600], "WindowWidth": [80, 2800]},
    {"WindowCenter": 500, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"},
    {"WindowCenter": 500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    {"VOILUTSequence": item(LUTDescriptor=[256, 0, 12], LUTData=words(n * 16 for n in range(256)))},
    {
        "ModalityLUTSequence": item(
            LUTDescriptor=[256, 0, 16], ModalityLUTType="US", LUTData=words(n * n for n in range(256))
        ),
        "WindowCenter": 3000,
        "WindowWidth": 8000,
    },
]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("number", range(len(WINDOWS)))
def test_windows_and_tables_are_those_of_pydicom(
    tmp_path: Path, number: int, kind: type[np.generic], photometric: str
) -> None:
    values = (HOUNSFIELD + 1000 if kind != np.int16 else HOUNSFIELD).astype(kind)
    path = save_dicom(tmp_path / "a.dcm", values, PhotometricInterpretation=photometric, **WINDOWS[number])
    several = isinstance(WINDOWS[number].get("WindowCenter"), list)
    for index in (0, 1) if several else (0,):
        wanted = pipeline(path, index=index)
        got, (low, high) = windowed(pydicom.dcmread(path), 0, None, index)
        assert np.allclose(got, wanted, rtol=0, atol=1e-3 * max(1, abs(wanted).max() / 1000))
        eight = np.rint((np.clip(wanted.astype(float), low, high) - low) * (255 / (high - low)))
        eight = 255 - eight if photometric == "MONOCHROME1" else eight
        seen = pixels(path, stored_window=index)
        assert np.array_equal(seen[..., 0], eight)
        assert np.array_equal(seen[..., 0], seen[..., 2])


def test_a_window_of_the_recipe_equals_simpleitks(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="another reader, for comparison, is not installed")
    path = save_dicom(
        tmp_path / "a.dcm", HOUNSFIELD, RescaleSlope=1, RescaleIntercept=-24, WindowCenter=0, WindowWidth=99,
        PixelSpacing=[1, 1], ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    )  # fmt: skip
    for centre, width in ((40, 400), (-600, 1500), (300, 80)):
        rescaled = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat64)
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2  # PS3.3 C.11.2.1.2
        shown = sitk.IntensityWindowing(rescaled, low, high, 0, 255)
        wanted = sitk.GetArrayFromImage(shown).reshape(64, 80)
        assert abs(pixels(path, window=(centre, width))[..., 0] - wanted).max() <= 0.51


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm",
        "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
        "image_dfl.dcm", "rtdose_rle_1frame.dcm", "CT_small.dcm",
    ],
)  # fmt: skip
def test_grey_in_every_packing_is_what_pydicom_decodes(name: str) -> None:
    """JPEG 2000, JPEG-LS, RLE, deflated, big and little endian, implicit."""
    path = SAMPLES / name
    values, _ = windowed(pydicom.dcmread(path), 0, None, 0)
    wanted = pipeline(path).astype(float)
    known = np.isfinite(values)
    assert known.mean() > 0.5  # the rest is padding
    assert np.array_equal(values[known], wanted[known])
    seen = pixels(path)
    assert seen.shape[:2] == wanted.shape
    assert seen.std() > 10


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_rle.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_rle_16bit.dcm",
    ],
)  # fmt: skip
def test_colour_in_every_packing_is_rgb(name: str) -> None:
    """The same drawn bars in all of them: red, green, blue, mixed, greys. Lossless, baseline, RLE, YBR."""
    from pydicom.pixels import pixel_array

    reference = pixel_array(pydicom.dcmread(SAMPLES / "SC_rgb_rle.dcm"))
    assert abs(pixels(SAMPLES / name).astype(int) - reference).mean() < 3


def test_a_palette_is_looked_up() -> None:
    from pydicom.pixels import apply_color_lut, pixel_array

    data = pydicom.dcmread(SAMPLES / "examples_palette.dcm")
    wanted = apply_color_lut(pixel_array(data), data)
    eight = wanted if wanted.dtype == np.uint8 else np.rint(wanted / 257.0)
    assert np.array_equal(pixels(SAMPLES / "examples_palette.dcm"), eight)


def test_without_a_window_the_range_is_robust_and_without_padding(tmp_path: Path) -> None:
    values = HOUNSFIELD.copy()
    values[:8] = -2000  # around the field of view
    plain = pixels(save_dicom(tmp_path / "a.dcm", values, PixelPaddingValue=-2000))
    assert plain[:8].max() == 0
    assert plain[8, 0, 0] == 0
    assert plain.max() == 255
    inverted = pixels(
        save_dicom(
            tmp_path / "b.dcm", values, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"
        )
    )
    assert inverted[:8].max() == 0  # the surroundings stay dark
    assert inverted[8, 0, 0] == 255


def test_a_frame_of_an_enhanced_file_has_its_own_window(tmp_path: Path) -> None:
    frames = np.stack([HOUNSFIELD, HOUNSFIELD])
    shared = item(PixelValueTransformationSequence=item(RescaleSlope=1, RescaleIntercept=100))
    each = item(FrameVOILUTSequence=item(WindowCenter=0, WindowWidth=100))
    each.extend(item(FrameVOILUTSequence=item(WindowCenter=900, WindowWidth=2000)))
    path = save_dicom(
        tmp_path / "a.dcm", frames,
        SharedFunctionalGroupsSequence=shared, PerFrameFunctionalGroupsSequence=each,
    )  # fmt: skip
    for frame, (centre, width) in enumerate(((0, 100), (900, 2000))):
        single = save_dicom(
            tmp_path / f"{frame}.dcm", HOUNSFIELD, RescaleSlope=1, RescaleIntercept=100,
            WindowCenter=centre, WindowWidth=width,
        )  # fmt: skip
        assert np.array_equal(pixels(path, frame=frame), pixels(single))


def test_overlays_are_not_drawn(tmp_path: Path) -> None:
    plain = pixels(save_dicom(tmp_path / "a.dcm", HOUNSFIELD + 1000, WindowCenter=900, WindowWidth=1800))
    data = dicom_dataset(HOUNSFIELD + 1000, WindowCenter=900, WindowWidth=1800)
    data.add_new(0x60000010, "US", 64)
    data.add_new(0x60000011, "US", 80)
    data.add_new(0x60000040, "CS", "G")
    data.add_new(0x60000050, "SS", [1, 1])
    data.add_new(0x60000100, "US", 1)
    data.add_new(0x60000102, "US", 0)
    data.add_new(0x60003000, "OW", b"\xff" * (64 * 80 // 8))
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    assert np.array_equal(pixels(tmp_path / "b.dcm"), plain)
    old = (HOUNSFIELD + 1000).astype(np.uint16)
    old[::2] |= 1 << 14  # an overlay in the bits above those stored, as files of the nineties have them
    save_dicom(tmp_path / "c.dcm", old, BitsStored=12, WindowCenter=900, WindowWidth=1800)
    save_dicom(tmp_path / "d.dcm", old & 0xFFF, BitsStored=12, WindowCenter=900, WindowWidth=1800)
    assert np.array_equal(pixels(tmp_path / "c.dcm"), pixels(tmp_path / "d.dcm"))


def test_references_are_small_picklable_and_know_their_size(tmp_path: Path) -> None:
    path = save_dicom(tmp_path / "a.dcm", HOUNSFIELD)
    image = DicomImage(path, "dicom/train/x")
    assert len(pickle.dumps(image)) < 500
    assert pickle.loads(pickle.dumps(image)) == image
    assert image.size() == image.open().size == (80, 64)
    assert image.open().mode == "RGB"


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "frame": ({}, {"frame": 3}, "no frame 3; its 1 frames"),
    "window": ({"WindowCenter": 1, "WindowWidth": 2}, {"stored_window": 1}, "1 windows"),
    "width": ({"WindowCenter": 1, "WindowWidth": 0}, {}, "at odds with its pixels"),
    "function": (
        {"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "CANARY"},
        {},
        "at odds with its pixels",
    ),
    "photometric": ({"PhotometricInterpretation": "CANARY"}, {}, "none of grey, RGB, YBR and palette"),
    "long": ({"PixelData": b"\0" * 100}, {}, "truncated or damaged"),
    "no pixels": ({"PixelData": None}, {}, "no pixels in it"),
    "rows": ({"Rows": 0}, {}, "80 x 0 pixels"),
    "narrow": ({"Rows": 1, "Columns": 300}, {}, "300 x 1 pixels is too narrow"),
    "no rows": ({"Rows": None}, {}, "no picture in it"),
    "bits": ({"BitsAllocated": 12}, {}, "at odds with its pixels"),
    "samples": ({"SamplesPerPixel": 2}, {}, "at odds with its pixels"),
    "representation": ({"PixelRepresentation": None}, {}, "at odds with its pixels"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_one_line_without_a_word_of_the_header(tmp_path: Path, name: str) -> None:
    attributes, options, said = WRONG[name]
    data = dicom_dataset(HOUNSFIELD, PatientName="CANARY", **attributes)
    data.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(UserError) as caught:
        DicomImage(tmp_path / "a.dcm", "dicom/train/7", **options).open()
    message = str(caught.value)
    assert message.startswith(f"image {tmp_path / 'a.dcm'} of case dicom/train/7 cannot be read as DICOM: ")
    assert said in message
    assert "CANARY" not in message
    assert "\n" not in message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3, 0.7, 0.999])
def test_cut_files_are_told(tmp_path: Path, share: float) -> None:
    whole = save_dicom(tmp_path / "a.dcm", HOUNSFIELD, PatientName="CANARY").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"a\.dcm"):
        DicomImage(tmp_path / "a.dcm").open()


def test_video_and_unknown_packings_are_named_not_decoded(tmp_path: Path) -> None:
    for syntax, said in (("1.2.840.10008.1.2.4.102", "MPEG"), ("1.2.3.4.5", "of its own")):
        data = dicom_dataset(HOUNSFIELD)
        data.file_meta.TransferSyntaxUID = syntax
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        from pydicom.encaps import encapsulate

        data.PixelData = encapsulate([b"\0" * 64])
        data["PixelData"].VR = "OB"
        pydicom.dcmwrite(
            tmp_path / "a.dcm", data, implicit_vr=False, little_endian=True, enforce_file_format=False
        )
        with pytest.raises(UserError, match=said):
            DicomImage(tmp_path / "a.dcm").open()

"""Volumes: how slices hang, whatever the order of their axes, and what is shown of their values."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest

from helpers.volume_files import SHAPE, patient, save_nifti, save_series, stored
from vrft_aug.data.dicom.dicom_pixels import DicomImage
from vrft_aug.data.dicom.instances import find_instances
from vrft_aug.data.volumes.nifti import NiftiVolume, open_nifti
from vrft_aug.data.volumes.planes import PLANES, Plane
from vrft_aug.data.volumes.series import DicomSeries, make_series
from vrft_aug.data.volumes.volume_picture import VolumePicture
from vrft_aug.errors import UserError

ORDERS = [
    "".join(one) for pair in itertools.permutations(("RL", "AP", "SI")) for one in itertools.product(*pair)
]


def hung(canonical: np.ndarray, plane: Plane, number: int) -> np.ndarray:
    """What a radiologist sees, written out for each plane."""
    if plane == "axial":  # from the feet: right on the left, front on top
        return canonical[::-1, ::-1, number].T
    if plane == "coronal":  # from the front: right on the left, head on top
        return canonical[::-1, number, ::-1].T
    return canonical[number, ::-1, ::-1].T  # front on the left, head on top


def test_there_are_48_orders() -> None:
    assert len(set(ORDERS)) == 48


@pytest.mark.parametrize("axes", ORDERS)
def test_slices_hang_alike_in_whatever_order_axes_are_stored(tmp_path: Path, axes: str) -> None:
    array, affine = stored(patient(), axes)
    assert "".join(nibabel.aff2axcodes(affine)) == axes
    volume = open_nifti(save_nifti(tmp_path / "a.nii", array, affine))
    assert volume.layout.shape == SHAPE
    for axis, plane in enumerate(PLANES):
        for number in (0, SHAPE[axis] - 1):
            assert np.array_equal(volume.slice(plane, number), hung(patient(), plane, number))


@pytest.mark.parametrize("turn", range(6))
def test_oblique_volumes_lie_as_nibabels_closest_canonical(tmp_path: Path, turn: int) -> None:
    """Against another implementation: flips, swapped axes and turns by up to 40 degrees."""
    rng = np.random.default_rng(turn)
    axes = ORDERS[turn * 8 % 48]
    array, affine = stored(patient(), axes, (0.7, 0.8, 1.1))
    angle = np.radians(rng.uniform(5, 40))
    axis = int(rng.integers(3))
    rotation = np.eye(4)
    a, b = (one for one in range(3) if one != axis)
    rotation[a, a] = rotation[b, b] = np.cos(angle)
    rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
    path = save_nifti(tmp_path / "a.nii.gz", array, rotation @ affine)
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)
    volume = open_nifti(path)
    assert volume.layout.tilt == pytest.approx(np.degrees(angle), abs=0.01)
    for axis, plane in enumerate(PLANES):
        number = canonical.shape[axis] // 2
        assert np.array_equal(volume.slice(plane, number), hung(canonical, plane, number))


def test_the_right_of_the_patient_is_on_the_left(tmp_path: Path) -> None:
    """In millimetres, without our own words for axes: the affine says where the bright voxel is."""
    for axes in ("RAS", "LPS", "LAS", "PIR"):
        array, affine = stored(np.zeros((30, 30, 30), np.int16), axes)
        inverse = np.linalg.inv(affine)
        right_front_head = [
            -5 + 25,
            7 + 25,
            11 + 25,
        ]  # mm; the corner at the left, back and feet is (-5, 7, 11)
        i, j, k = np.rint((inverse @ [*right_front_head, 1])[:3]).astype(int)
        array[i, j, k] = 100
        volume = open_nifti(save_nifti(tmp_path / f"{axes}.nii", array, affine))
        for plane in PLANES:
            picture = np.asarray(VolumePicture(volume, plane, (25,)).open())[..., 0]
            ((row, column),) = np.argwhere(picture)
            assert row < 15 and column < 15, (axes, plane)


def test_pixels_become_square(tmp_path: Path) -> None:
    array, affine = stored(patient(), "LPS", (1, 1, 5))
    volume = open_nifti(save_nifti(tmp_path / "a.nii", array, affine))
    assert volume.layout.acquired() == "axial"
    for plane, size in (("axial", (12, 10)), ("coronal", (12, 40)), ("sagittal", (10, 40))):
        picture = VolumePicture(volume, plane, (3,))  # type: ignore[arg-type]
        assert picture.size() == picture.open().size == size
    thick, affine = stored(patient(), "RAS", (4, 0.5, 0.5))
    assert open_nifti(save_nifti(tmp_path / "b.nii", thick, affine)).layout.acquired() == "sagittal"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_scaled_values_and_a_window_in_hounsfield_units(tmp_path: Path, name: str) -> None:
    values = (patient() % 200).astype(np.int16)
    image = nibabel.Nifti1Image(values, np.diag([1, 1, 1, 1]))
    image.header.set_slope_inter(2, -1024)
    image.set_sform(np.eye(4), 1)
    nibabel.save(image, tmp_path / name)
    loaded = nibabel.load(tmp_path / name)
    assert isinstance(loaded, nibabel.Nifti1Image)
    meant = loaded.get_fdata()
    volume = open_nifti(tmp_path / name)
    assert np.array_equal(volume.slice("axial", 2), hung(meant, "axial", 2))
    picture = np.asarray(VolumePicture(volume, "axial", (2,), window=(-800, 300)).open())[..., 0]
    expected = np.clip((hung(meant, "axial", 2) + 800.5) / 299 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(picture - expected).max() <= 0.5 + 1e-6


def test_slices_of_a_case_share_a_range_and_a_montage_has_them_row_by_row(tmp_path: Path) -> None:
    array, affine = stored(patient(), "RAS")
    volume = open_nifti(save_nifti(tmp_path / "a.nii", array, affine))
    numbers = (1, 3, 5)
    whole = VolumePicture(volume, "axial", numbers, together=numbers)
    assert whole.open().size == whole.size() == (24, 20)
    pixels = np.asarray(whole.open())[..., 0]
    singles = [
        np.asarray(VolumePicture(volume, "axial", (n,), together=numbers).open())[..., 0] for n in numbers
    ]
    assert np.array_equal(pixels[:10, :12], singles[0]) and np.array_equal(pixels[:10, 12:], singles[1])
    assert np.array_equal(pixels[10:, :12], singles[2]) and not pixels[10:, 12:].any()
    assert singles[0].mean() < singles[1].mean() < singles[2].mean()


def series(folder: Path) -> DicomSeries:
    return make_series(find_instances(folder))


def test_a_series_is_the_volume_that_nibabel_reads(tmp_path: Path) -> None:
    save_series(tmp_path / "s", patient(), (0.5, 0.8, 2))
    volume = series(tmp_path / "s")
    assert volume.layout.shape == SHAPE and volume.layout.spacing == pytest.approx((0.5, 0.8, 2))
    for axis, plane in enumerate(PLANES):
        for number in range(SHAPE[axis]):
            assert np.array_equal(volume.slice(plane, number), hung(patient(), plane, number))


TILTS: dict[str, list[float]] = {
    "axial": [1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "upside down": [-1, 0, 0, 0, 1, 0],
    "oblique": [0.8, 0.6, 0, -0.48, 0.64, 0.6],
}


def test_a_series_is_the_volume_that_simpleitk_reads(tmp_path: Path) -> None:
    """Order, place and orientation against another reader, whose axes are LPS."""
    sitk = pytest.importorskip("SimpleITK")
    for name, orientation in TILTS.items():
        normal = np.cross(orientation[:3], orientation[3:])
        folder = tmp_path / name
        save_series(folder, patient(), (0.5, 0.8, 2), ImageOrientationPatient=orientation)
        import pydicom

        for path in folder.iterdir():
            data = pydicom.dcmread(path)
            height = float(data.ImagePositionPatient[2]) - 30
            data.ImagePositionPatient = [float(round(x, 6)) for x in np.array([10, 20, 30]) + normal * height]
            data.save_as(path)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = sitk.DICOMOrient(reader.Execute(), "RAS")
        axes = np.array(image.GetDirection()).reshape(3, 3)  # columns: where its axes point to, in LPS
        assert (np.abs(axes).argmax(axis=0) == (0, 1, 2)).all() and (np.diag(axes) * (-1, -1, 1) > 0).all()
        canonical = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
        volume = series(folder)
        assert volume.layout.shape == canonical.shape, name
        for axis, plane in enumerate(PLANES):
            number = canonical.shape[axis] // 3
            assert np.array_equal(volume.slice(plane, number), hung(canonical, plane, number)), (name, plane)


def test_a_slice_of_a_series_is_shown_as_reader_dicom_shows_its_file(tmp_path: Path) -> None:
    files = save_series(tmp_path / "s", patient(), WindowCenter=300, WindowWidth=200, RescaleSlope=1,
                        RescaleIntercept=-100)  # fmt: skip
    volume = series(tmp_path / "s")
    for window in (None, (40.0, 400.0)):
        picture = VolumePicture(volume, "axial", (3,), window=window, together=(3,)).open()
        assert np.array_equal(np.asarray(picture), np.asarray(DicomImage(files[3], window=window).open()))


@pytest.mark.parametrize("window", [(500.0, 700.0), (40.0, 80.0)])
def test_a_series_and_its_nifti_look_the_same_through_a_window(
    tmp_path: Path, window: tuple[float, float]
) -> None:
    save_series(tmp_path / "s", patient(), (1, 1, 3))
    array, affine = stored(patient(), "LPS", (1, 1, 3))
    one, two = series(tmp_path / "s"), open_nifti(save_nifti(tmp_path / "a.nii.gz", array, affine))
    for plane in PLANES:
        pictures = [np.asarray(VolumePicture(v, plane, (4,), window=window).open(), int) for v in (one, two)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1
    plain = [np.asarray(VolumePicture(v, "axial", (4,), together=(2, 4)).open()) for v in (one, two)]
    assert np.array_equal(plain[0], plain[1])


def opened(path: Path, **more: int | str) -> NiftiVolume:
    return open_nifti(path, **more)  # type: ignore[arg-type]


def test_what_lies_nowhere_or_in_two_ways_is_refused(tmp_path: Path) -> None:
    array, affine = stored(patient(), "LPS", (1, 1, 2))
    path = save_nifti(tmp_path / "a.nii", array, affine)
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # the codes of qform and sform
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii cannot be read: it does not say how it lies .*data\.axes"):
        opened(path)
    volume = opened(path, axes="LPS")
    assert volume.layout.spacing == pytest.approx((1, 1, 2))
    assert np.array_equal(volume.slice("coronal", 3), hung(patient(), "coronal", 3))
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(np.diag([1, 1, 2, 1]), 1)
    nibabel.save(image, path)
    with pytest.raises(UserError, match="qform and sform say different orientations"):
        opened(path)
    for bad in (np.zeros((4, 4)), np.diag([np.nan, 1, 1, 1]), np.diag([100.0, 1, 1, 1])):
        image = nibabel.Nifti1Image(array, np.eye(4))
        image.header["sform_code"] = 2
        for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
            image.header[name] = bad[row]
        raw = tmp_path / "b.nii"
        nibabel.Nifti1Image(array, None, header=image.header).to_filename(raw)
        content = bytearray(raw.read_bytes())
        content[252:256] = b"\0\0\2\0"  # qform_code, sform_code
        content[280:328] = np.asarray(bad[:3], "<f4").tobytes()
        raw.write_bytes(content)
        with pytest.raises(UserError, match=r"b\.nii cannot be read: (the matrix|its voxels)"):
            opened(raw)


def test_a_fourth_dimension_has_to_be_named(tmp_path: Path) -> None:
    parts = np.stack([patient(), patient() + 1], axis=-1)
    path = save_nifti(tmp_path / "a.nii", parts, np.eye(4))
    with pytest.raises(UserError, match=r"it has 2 volumes .*data\.part"):
        opened(path)
    assert np.array_equal(opened(path, part=1).slice("axial", 2), hung(patient() + 1, "axial", 2))
    with pytest.raises(UserError, match=r"data\.part is 2, counted from 0"):
        opened(path, part=2)
    single = save_nifti(tmp_path / "b.nii", patient()[..., None], np.eye(4))
    assert np.array_equal(opened(single).slice("axial", 2), hung(patient(), "axial", 2))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_cut_file_is_refused_when_it_is_opened(tmp_path: Path, name: str, share: float) -> None:
    path = save_nifti(tmp_path / name, patient(), np.eye(4))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=rf"volume .*{name}( of case x)? cannot be read") as caught:
        VolumePicture(open_nifti(path, case="x"), "axial", (4,), "x").open()
    assert "\n" not in str(caught.value)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nii").write_text("no volume at all " * 100)
    colours = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "colour.nii")
    nibabel.save(nibabel.Nifti1Image(patient().astype(np.complex64), np.eye(4)), tmp_path / "complex.nii")
    save_nifti(tmp_path / "gz.nii.gz", patient(), np.eye(4)).rename(tmp_path / "gz.nii")
    save_nifti(tmp_path / "five.nii", np.zeros((2, 2, 2, 3, 3), np.int16), np.eye(4))
    for name in ("text", "colour", "complex", "gz", "five", "absent"):
        with pytest.raises(UserError, match=rf"{name}\.nii cannot be read"):
            opened(tmp_path / f"{name}.nii")


WRONG = {
    "two phases": "lie at one place",
    "a scout": "different orientations",
    "no place": "1 of 8 files do not say where they lie",
    "another size": "different sizes",
    "several frames": "2 frames",
}


@pytest.mark.parametrize("what", WRONG)
def test_files_that_make_no_volume(tmp_path: Path, what: str) -> None:
    import pydicom

    files = save_series(tmp_path / "s", patient())
    data = pydicom.dcmread(files[2])
    if what == "two phases":
        data.ImagePositionPatient = [10, 20, 33]
    elif what == "a scout":
        data.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    elif what == "no place":
        del data.ImagePositionPatient
    elif what == "another size":
        data.Rows, data.PixelData = 5, data.PixelData[: 5 * 12 * 2]
    else:
        data.NumberOfFrames, data.PixelData = 2, data.PixelData * 2
    data.save_as(files[2])
    with pytest.raises(UserError, match=rf"volume .*8 files of a series.*{WRONG[what]}") as caught:
        series(tmp_path / "s")
    assert "1.2.3.4" not in str(caught.value)


def test_a_missing_slice_is_told_and_not_cut_across(tmp_path: Path) -> None:
    files = save_series(tmp_path / "s", patient())
    files[3].unlink()
    volume = series(tmp_path / "s")
    assert np.array_equal(volume.slice("axial", 3), hung(patient(), "axial", 4))
    with pytest.raises(UserError, match="a coronal slice cuts across its slices, of which some are missing"):
        volume.slice("coronal", 3)

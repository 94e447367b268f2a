"""Processed pictures are kept in memory, then on disk, to the bit, within their limits."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vrft_aug.training.pictures import picture_store
from vrft_aug.training.pictures.picture_store import PictureStore

SIZE = 4 * 10 + 8 * 3  # bytes of the fields below


def fields(number: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(number)
    return {
        "pixel_values": torch.randn(10, generator=generator),
        "image_grid_thw": torch.tensor([[1, number, 2]]),
        "rows": [[number]],
    }


def same(found: object, number: int) -> bool:
    assert isinstance(found, dict)
    expected = fields(number)
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], value) if isinstance(value, torch.Tensor) else found[name] == value
        for name, value in expected.items()
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_memory_comes_first_then_the_disk_and_then_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stage" / "pictures-0"
    store = PictureStore(2 * SIZE, 2 * SIZE, folder)
    for number in (0, 1):
        store.put(number, fields(number))
    assert not folder.exists()  # made when it is needed
    for number in (2, 3, 4, 0, 2):
        store.put(number, fields(number))
    assert [number in store for number in range(5)] == [True] * 4 + [False]
    assert files(folder) == ["0.safetensors", "1.safetensors"]
    assert all(same(store.get(number), number) for number in range(4)) and store.get(4) is None
    del store
    gc.collect()
    assert not folder.exists()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "7.safetensors").write_bytes(b"half")
    store = PictureStore(0, SIZE, tmp_path / "p")
    store.put("a", fields(1))
    assert files(tmp_path) == ["0.safetensors"] and same(store.get("a"), 1)


def test_half_of_the_free_disk_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2 * SIZE))
    store = PictureStore(0, 1 << 40, tmp_path / "p")
    for number in range(3):
        store.put(number, fields(number))
    assert files(tmp_path) == ["0.safetensors"] and 0 in store and 1 not in store


def test_a_disk_that_fails_is_left_alone_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_store, "save_file", full)
    store = PictureStore(0, 1 << 30, tmp_path / "p")
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            store.put(number, fields(number))
    assert 0 not in store and files(tmp_path) == []
    assert [record.getMessage() for record in caplog.records] == [
        "no more processed pictures are kept on disk: [Errno 28] No space left on device"
    ]
    (tmp_path / "file").write_text("")
    blocked = PictureStore(0, 1 << 30, tmp_path / "file" / "p")
    blocked.put(0, fields(0))
    assert 0 not in blocked and "no processed pictures" in caplog.text

"""Pictures as records name or hold them: a path, a list of them, base64, or bytes."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from vrft_aug.data.images import FileImage, decoded, decoding, header_size, open_picture
from vrft_aug.data.row_faults import BadRow
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import ImageRef

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")


@dataclass(frozen=True)
class EncodedImage:
    """A picture whose encoded bytes are in memory; of equal bytes there is one copy a reading."""

    data: bytes = field(repr=False)
    case: str = ""

    def open(self) -> Image.Image:
        """The picture as upright RGB; UserError where it cannot be decoded."""
        with decoding(Path("in the file"), self.case):
            return decoded(self.data)


class PictureFinder:
    """Finds the pictures of records below a folder; every file is looked at once."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self._seen: set[Path] = set()
        self._kept: dict[str, bytes] = {}

    def name(self, value: Any) -> str:
        """What tells the pictures of a record from those of others."""
        one = value[0] if isinstance(value, list) and value else value
        if isinstance(one, dict):
            one = one.get("bytes") or one.get("path") or one.get("image") or ""
        if isinstance(one, bytes) or (isinstance(one, str) and len(one) > 400):
            return sha256(one if isinstance(one, bytes) else one.encode()).hexdigest()
        return str(one)

    def find(self, value: Any, where: str, case: str) -> tuple[ImageRef, ...]:
        """The pictures of a record, one or more; UserError where one is absent or there is none."""
        values = value if isinstance(value, list) else [value]
        if not values or any(one is None or one == "" for one in values):
            line = f"{where} names no picture; expected a path, a list of them, base64 or bytes"
            raise BadRow("no picture named", line)
        return tuple(self._one(one, where, case) for one in values)

    def _one(self, value: Any, where: str, case: str) -> ImageRef:
        if isinstance(value, dict):  # as `datasets` stores pictures
            value = value.get("bytes") or value.get("path") or value.get("image")
        if isinstance(value, bytes):
            return self._encoded(value, where, case)
        if not isinstance(value, str):
            raise UserError(f"{where}: the picture is {shown(value)}; expected a path, base64 or bytes")
        if (url := _DATA_URL.match(value)) or (len(value) > 400 and _BASE64.fullmatch(value)):
            try:
                data = base64.b64decode(value[url.end() if url else 0 :], validate=False)
            except (binascii.Error, ValueError) as error:
                raise UserError(f"{where}: the picture is no base64: {error}") from None
            return self._encoded(data, where, case)
        if re.match(r"\w+://", value) and not value.startswith("file://"):
            raise UserError(f"{where}: picture {shown(value)} is not on this machine; download it first")
        return self._file(value.removeprefix("file://").replace("\\", "/"), where, case)

    def _encoded(self, data: bytes, where: str, case: str) -> EncodedImage:
        key = sha256(data).hexdigest()
        if key not in self._kept:
            try:
                with open_picture(data) as image:
                    image.size  # noqa: B018 (the header is read)
            except Exception as error:
                raise UserError(f"{where}: the picture cannot be decoded: {error}") from None
            self._kept[key] = data
        return EncodedImage(self._kept[key], case)

    def _file(self, name: str, where: str, case: str) -> FileImage:
        path = next((at for at in (self.folder / name, self.root / name) if at.is_file()), self.folder / name)
        if path not in self._seen:
            if not path.is_file():
                line = f"{where}: picture {path} does not exist; data.images names the folder"
                raise BadRow("a picture that is absent", line)
            header_size(path, case)
            self._seen.add(path)
        return FileImage(path, case)

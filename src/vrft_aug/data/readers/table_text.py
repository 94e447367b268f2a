"""Text tables: their encoding and separator, told by the file or by the recipe, and their rows."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.data.notes import note
from vrft_aug.errors import UserError, nearest, shown

SEPARATORS = {",": "commas", ";": "semicolons (;)", "\t": "tabs", "|": "bars (|)"}  # and how they are called
NAMED = {"tab": "\t", "tabs": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "bar": "|"}  # in a recipe
BOMS = {  # longest first: the UTF-32 mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class Dialect:
    """How a table is written, as far as the recipe says; None is found out."""

    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None


def open_text(path: Path, dialect: Dialect) -> io.StringIO:
    """The text of a file: by its byte order mark, else in the recipe's encoding, else UTF-8.

    Raises UserError where it is not written so, or where another encoding is declared than it plainly has.
    """
    raw = path.read_bytes()
    marked = next((name for bom, name in BOMS.items() if raw.startswith(bom)), None)
    encoding = marked or dialect.encoding or "utf-8-sig"
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise UserError(
            f"data.encoding {encoding!r} is unknown; expected one like utf-8, cp1252, gbk"
        ) from None
    try:
        text = raw.decode(encoding)
    except UnicodeError as error:
        raise UserError(_not_written_so(path, raw, error, marked, dialect.encoding)) from None
    if "\0" in text:
        raise UserError(
            f"{path} has NUL characters, so it is no text in {encoding}; it may be UTF-16 without a mark "
            "(data.encoding: utf-16-le) or be damaged"
        )
    if not marked and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) and b"\0" not in raw:
        raise UserError(
            f"{path} is no text in data.encoding {encoding}, of which every ASCII character has a byte of 0; "
            "remove the setting"
        )
    if not marked and dialect.encoding and not _is_utf8(dialect.encoding) and not raw.isascii():
        try:
            raw.decode("utf-8")
        except UnicodeError:
            pass
        else:
            raise UserError(
                f"{path} is UTF-8 by its content, but data.encoding is {dialect.encoding}; remove the setting"
            )
    return io.StringIO(text.removeprefix("\ufeff"), newline="")


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _not_written_so(
    path: Path, raw: bytes, error: UnicodeError, marked: str | None, given: str | None
) -> str:
    place = getattr(error, "start", 0)
    line = raw[:place].count(b"\n") + 1
    found = f"byte 0x{raw[place]:02x} in line {line}" if place < len(raw) else "it is cut"
    if marked:
        return (
            f"{path} cannot be read as a UTF-8 CSV file: it begins with the mark of {marked}, but {found} is "
            "not of it; save it as UTF-8"
        )
    if given:
        return f"{path} cannot be read in data.encoding {given}: {found}"
    return (
        f"{path} cannot be read as a UTF-8 CSV file: {found}; name its encoding with data.encoding (cp1252 "
        f"for "
        "western Excel, gbk, shift_jis, ...) or save it as UTF-8"
    )


def text_rows(
    path: Path, dialect: Dialect, wanted: Collection[str]
) -> tuple[Sequence[str], Iterable[tuple[int, list[str]]]]:
    """Header, and every row with the number of the line that it ends in."""
    given = NAMED.get(dialect.separator or "", dialect.separator)
    if given is not None and len(given) != 1:
        raise UserError(
            f"data.separator is {shown(given)}; expected one character, like ;, or tab, semicolon, comma, bar"
        )
    file = open_text(path, dialect)
    separator = given or _separator(file, wanted)
    if separator != ",":
        note(
            f"{path.name} is read as a table with {SEPARATORS.get(separator, separator)} between its columns"
        )
    file.seek(0)
    reader = csv.reader(file, delimiter=separator, strict=True)
    return next(reader, []), _numbered(reader, path)


def _numbered(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in reader:
            yield reader.line_num, cells  # type: ignore[attr-defined]
    except csv.Error as error:
        line = reader.line_num  # type: ignore[attr-defined]
        raise UserError(f"{path} cannot be read as a UTF-8 CSV file: line {line}: {error}") from None


def separated_by(header: Sequence[str]) -> str | None:
    """What a header that was read as one column holds instead, such as tabs; None where it holds none."""
    names = [name for name in header if name]
    found = {sep: names[0].count(sep) for sep in SEPARATORS} if len(names) == 1 else {}
    best = max(found, key=found.__getitem__, default="")
    return SEPARATORS[best] if found.get(best) else None


def _separator(file: io.StringIO, wanted: Collection[str]) -> str:
    """The one that gives most of the wanted columns, then most columns, the comma before others."""
    best, most = ",", (-1, -1)
    for separator in SEPARATORS:
        file.seek(0)
        try:
            header = [name.strip() for name in next(csv.reader(file, delimiter=separator), [])]
        except csv.Error:
            continue
        known = sum(bool(name in header or (name and nearest(name, header))) for name in wanted)
        if (known, len(header)) > most:
            best, most = separator, (known, len(header))
    return best

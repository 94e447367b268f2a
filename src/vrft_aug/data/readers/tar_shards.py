"""The reader of WebDataset shards: .tar files in which the files of a case share a name and differ in suffix.

Shards are listed by their headers and never unpacked; a picture is read where it lies when it is opened.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from pydantic import ConfigDict, Field

from vrft_aug.data.images import SUFFIXES, content_name, decoded, decoding
from vrft_aug.data.notes import some
from vrft_aug.data.readers.raw_labels import target_of
from vrft_aug.data.sources import absent
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import NAMES, assign, known_patient
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Case, Target, Task

BLOCK = 512  # bytes: members of a .tar begin at multiples, a block of zeros ends it
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class WebDatasetData(SplitSettings):
    """WebDataset shards."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    shards: str | dict[str, str]  # train-{000..009}.tar, or *.tar; or one such for each split
    label: str = "cls"  # the suffix of the file with the label, or json.KEY for a key of the .json
    text: str | None = None  # where the answer is, for kind answer
    question: str | None = None
    patient: str | None = None
    label_names: dict[str, str] = Field(
        default_factory=dict
    )  # value -> label; without it numbers count by order


@dataclass(frozen=True)
class TarImage:
    """A picture inside an uncompressed .tar: where its bytes lie."""

    path: Path
    offset: int
    length: int
    case: str = ""

    def open(self) -> Image.Image:
        """The picture as upright RGB; UserError where it cannot be decoded."""
        with decoding(self.path, self.case):
            return decoded(self.content())

    def content(self) -> bytes:
        """Its bytes, as they are in the shard."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass
class _Sample:
    """The files of a case: those with text in them by suffix, and the picture."""

    key: str
    shard: Path
    split: str | None
    texts: dict[str, str] = field(default_factory=dict)
    image: TarImage | None = None


def read_webdataset(config: WebDatasetData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split in the order of the shards; ids such as shards/test/0001.

    Raises UserError where a shard is absent, compressed or cut, or where a case lacks its picture or label.
    """
    if task.kind == "localise":
        raise UserError(
            f"task {task.name!r} is of kind localise, whose boxes reader webdataset does not read"
        )
    samples = [sample for path, part in _shards(config, root) for sample in _samples(path, part)]
    first: dict[str, Path] = {}
    for sample in samples:
        if sample.image is None:
            raise UserError(
                f"{sample.shard}: {sample.key} has no picture; expected one of {', '.join(SUFFIXES)}"
            )
        if sample.key in first and (sample.split, first[sample.key]) != (sample.split, sample.shard):
            raise UserError(
                f"case {sample.key} is in {first[sample.key]} and in {sample.shard}; expected each once"
            )
        first[sample.key] = sample.shard
    patients = [known_patient(str(_value(s, config.patient))) if config.patient else "" for s in samples]
    kept = [sample.split for sample in samples]
    given = [str(part) for part in kept] if samples and None not in kept else None
    wanted = config.text if task.kind == "answer" else config.label
    if wanted is None:
        raise UserError(f"task {task.name!r} is of kind answer and needs data.text, like txt or json.answer")
    values = [_value(sample, wanted) for sample in samples]
    pictures = [content_name(s.image.content()) for s in samples if s.image] if config.question else None
    dealt = assign(
        config, [s.key for s in samples], patients, given, [str(v) for v in values],
        lambda i: f"{samples[i].shard}: {samples[i].key}", "the shards", pictures,
    )  # fmt: skip
    cases = []
    for i, (sample, patient, value) in enumerate(zip(samples, patients, values, strict=True)):
        if dealt[i] != split:
            continue
        where = f"{sample.shard}: {sample.key}"
        id = f"{sample.shard.parent.name or 'shards'}/{split}/{sample.key}"
        picture = sample.image
        assert picture is not None
        target = (
            Target(text=str(value))
            if task.kind == "answer"
            else target_of(value, task, config.label_names, (), where)
        )
        question = str(_value(sample, config.question)) if config.question else None
        image = TarImage(picture.path, picture.offset, picture.length, id)
        cases.append(
            Case(
                id=id,
                images=(image,),
                target=target,
                patient=patient or None,
                question=question,
                picture=pictures[i] if pictures else None,
            )
        )
    return cases


def _shards(config: WebDatasetData, root: Path) -> Iterator[tuple[Path, str | None]]:
    """Every shard and the split that it is of."""
    given = config.shards if isinstance(config.shards, dict) else {"": config.shards}
    for name, pattern in given.items():
        split = NAMES.get(config.split_names.get(name, name).casefold()) if name else None
        if name and split is None:
            raise UserError(f"data.shards: {name!r} is no split; expected train, validation, test")
        for path in _expanded(pattern, root):
            yield path, split or _split_in(path)


def _expanded(pattern: str, root: Path) -> list[Path]:
    if found := RANGE.search(pattern):
        low, high = found[1], found[2]
        names = [
            pattern[: found.start()] + str(i).zfill(len(low)) + pattern[found.end() :]
            for i in range(int(low), int(high) + 1)
        ]
        paths = [root / name for name in names]
    else:
        paths = sorted(root.glob(pattern)) if "*" in pattern else [root / pattern]
    if not paths or not paths[0].is_file():
        raise absent(paths[0] if paths else root / pattern, root, "webdataset")
    for path in paths:
        if not path.is_file():
            raise UserError(
                f"{path} does not exist, but {paths[0]} does; {len(paths)} shards are named by {pattern}"
            )
    return paths


def _split_in(path: Path) -> str | None:
    words = [*re.split(r"[-_.\d]+", path.stem), path.parent.name]
    found = {NAMES[word.casefold()] for word in words if word.casefold() in NAMES}
    return found.pop() if len(found) == 1 else None


def _samples(path: Path, split: str | None) -> Iterator[_Sample]:
    """The cases of a shard: members of one name follow each other or not."""
    samples: dict[str, _Sample] = {}
    size, end = path.stat().st_size, 0
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                end = member.offset_data + -(-member.size // BLOCK) * BLOCK
                name = PurePosixPath(member.name)
                if not member.isfile() or name.name.startswith("."):
                    continue
                key, _, suffix = name.name.partition(".")
                key = (name.parent / key).as_posix()
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError("it ends inside a file")
                sample = samples.setdefault(key, _Sample(key, path, split))
                _add(sample, suffix.lower(), member, archive, path)
        with path.open("rb") as file:  # the library takes a file that was cut between two members for whole
            file.seek(end)
            if file.read(BLOCK) != bytes(BLOCK):
                raise tarfile.ReadError("its end is missing")
        if not samples:
            raise tarfile.ReadError("it holds no files")
    except (tarfile.TarError, EOFError, OSError, UnicodeError) as error:
        raise UserError(
            f"{path} cannot be read as an uncompressed .tar: {' '.join(str(error).split())[:120]}; a "
            ".tar.gz has to be unpacked first, a cut one copied again"
        ) from None
    yield from samples.values()


def _add(sample: _Sample, suffix: str, member: tarfile.TarInfo, archive: tarfile.TarFile, path: Path) -> None:
    if f".{suffix.rpartition('.')[2]}" in SUFFIXES:
        if sample.image is not None:
            raise UserError(f"{path}: {sample.key} has two pictures; expected one")
        sample.image = TarImage(path, member.offset_data, member.size)
    elif member.size < 1 << 20:
        content = archive.extractfile(member)
        if suffix in sample.texts:
            raise UserError(f"{path}: {sample.key}.{suffix} is there twice")
        sample.texts[suffix] = content.read().decode("utf-8").strip() if content else ""


def _value(sample: _Sample, where: str) -> Any:
    """The value of a case: of a file with that suffix, or under a key of its .json."""
    suffix, _, key = where.partition(".")
    if suffix not in sample.texts:
        has = some(list(sample.texts), 12) or "a picture alone"
        raise UserError(f"{sample.shard}: {sample.key} has no .{suffix}; it has {has}")
    text = sample.texts[suffix]
    if suffix == "json" and key:
        try:
            content = json.loads(text)
        except ValueError:
            raise UserError(f"{sample.shard}: {sample.key}.json is not valid JSON") from None
        if not isinstance(content, dict) or key not in content:
            raise UserError(
                f"{sample.shard}: {sample.key}.json has no "
                f"{key!r}{nearest(key, content if isinstance(content, dict) else [])}"
            )
        value = content[key]
        if value is None or isinstance(value, dict):
            raise UserError(f"{sample.shard}: {key} of {sample.key}.json is {shown(value)}; expected a value")
        return value
    if not text:
        raise UserError(f"{sample.shard}: {sample.key}.{suffix} is empty")
    return int(text) if re.fullmatch(r"-?\d+", text) else text

"""Which case belongs to which split. Deterministic, and always by patient."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from vrft_aug.data.notes import note, some
from vrft_aug.data.split_settings import RandomSplit, SplitSettings
from vrft_aug.errors import UserError, shown

SPLITS = ("train", "validation", "test")
NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}  # what data sets call them -> ours
VALIDATION_SHARE = 0.15
TEST_SHARE = 0.2
COPY = re.compile(
    r"\.rf\.[0-9a-zA-Z]{2,}(?=\.[^.]*$|$)"
)  # what Roboflow adds to each augmented copy of a scan
NO_PATIENT = ("", "nan", "na", "n/a", "none", "null", "<na>", "-", "?")  # how tables write an unknown one


def split_name(given: str, where: str) -> str:
    """Our name of a split as it is called in a table; `where` names file and line in the UserError."""
    try:
        return NAMES[given.strip().casefold()]
    except KeyError:
        raise UserError(
            f"{where}: split {shown(given)} is unknown; expected {', '.join(SPLITS)}, or its name in "
            f"data.split_names"
        ) from None


def given_splits(given: Sequence[str], config: SplitSettings, where: Callable[[int], str]) -> list[str]:
    """`split_name` of every case, after the recipe's own names of splits."""
    known: dict[str, str] = {}
    for i, name in enumerate(given):
        if name not in known:
            known[name] = split_name(config.split_names.get(name.strip(), name), where(i))
    return [known[name] for name in given]


def patient_in(pattern: str | None, path: str) -> str:
    """The patient that the path of an image names: what the pattern's first group finds, "" without a
    match."""
    if pattern is None or (found := re.search(pattern, path.replace("\\", "/"))) is None:
        return ""
    return (found[1] if found.re.groups else found[0]) or ""


def known_patient(cell: str) -> str:
    """The patient of a cell; "" where it says that none is known."""
    return "" if cell.casefold() in NO_PATIENT else cell


def source_scan(name: str) -> str:
    """The scan that an augmented copy was made of, by its name; other names as they are."""
    return COPY.sub("", name) if ".rf." in name else name


def assign(
    config: SplitSettings,
    names: Sequence[str],
    patients: Sequence[str],
    given: Sequence[str] | None,
    strata: Sequence[str],
    where: Callable[[int], str],
    source: str,
    pictures: Sequence[str] | None = None,
) -> list[str]:
    """The split of every case: case i is called `names[i]`, of patient `patients[i]` ("" where unknown).

    `pictures` say which cases ask about one picture, where `names` do not.

    `given` are the data's own splits (said to come from `source`), which are kept; else a random split where
    the recipe asks for one, by patient and stratified by `strata` (labels); else a hash deals, see `deal`.
    All cases of a patient, questions about a picture and copies of a scan are in one split: raises UserError
    naming two cases of a patient where the data's own splits say otherwise, unless the recipe accepts that.
    """
    scans = pictures or [source_scan(name) for name in names]
    owners = [patient or scan for patient, scan in zip(patients, scans, strict=True)]
    if config.random_split is not None:
        if given is not None:
            raise UserError(
                f"data.random_split and the data's own splits ({source}) contradict each other; remove one "
                "of them (data.split_column: null ignores the column)"
            )
        parts = deal_at_random(owners, strata, config.random_split)
        how = f"dealt at random with seed {config.random_split.seed}, by patient or image"
    else:
        if given is not None:
            _check_apart(config, names, owners, patients, given, where, pictures is not None)
        parts = deal(owners, given)
        how = f"from {source}" if given is not None else "dealt by a hash of patient or image"
    _tell(parts, given, how, patients)
    return parts


def deal(owners: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """The split of every image by its owner: the patient, or the image itself where patients are unknown.

    `given` are the table's own splits. Where they have no validation images, about 15 % of the owners in
    train become validation, chosen by a hash of the owner's name; where nothing is given, about 15 % of all
    owners are validation and 20 % test. All images of an owner move together, and other rows change nothing.
    """
    if given is None:
        return [
            "test" if (u := _uniform(owner)) >= 1 - TEST_SHARE else _carved(u, "train") for owner in owners
        ]
    if "validation" in given:
        return list(given)
    return [_carved(_uniform(owner), split) for owner, split in zip(owners, given, strict=True)]


def deal_at_random(owners: Sequence[str], strata: Sequence[str], wanted: RandomSplit) -> list[str]:
    """Shares of the owners drawn with a seed, equal in every stratum, whatever the order of the cases.

    An owner with cases of several strata belongs to the rarest of them. Within a stratum the owners are
    put in an order by a hash of seed and name, and the first are test, the next validation, as many as
    come nearest to the shares, counted over the strata so that rounding does not add up.
    """
    rarity = Counter(strata)
    of_owner: dict[str, str] = {}
    for owner, stratum in zip(owners, strata, strict=True):
        own = of_owner.setdefault(owner, stratum)
        if (rarity[stratum], stratum) < (rarity[own], own):
            of_owner[owner] = stratum
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for owner, stratum in of_owner.items():
        groups[stratum if wanted.stratify else ""].append(owner)
    part: dict[str, str] = {}
    seen = tested = validated = 0
    for stratum in sorted(groups, key=lambda name: (rarity[name], name)):
        members = sorted(groups[stratum], key=lambda owner: _uniform(f"{wanted.seed}|{owner}"))
        seen += len(members)
        test = max(0, round(seen * wanted.test) - tested)
        validation = max(0, round(seen * wanted.validation) - validated)
        tested, validated = tested + min(test, len(members)), validated + validation
        for place, owner in enumerate(members):
            part[owner] = "test" if place < test else "validation" if place < test + validation else "train"
    return [part[owner] for owner in owners]


def _check_apart(
    config: SplitSettings,
    names: Sequence[str],
    owners: Sequence[str],
    patients: Sequence[str],
    given: Sequence[str],
    where: Callable[[int], str],
    questions: bool,
) -> None:
    """No patient in two of the data's own splits, unless accepted; a scan's copies are told."""
    first: dict[str, int] = {}
    shared: dict[str, tuple[int, int]] = {}
    for i, (owner, split) in enumerate(zip(owners, given, strict=True)):
        if given[first.setdefault(owner, i)] != split:
            shared.setdefault(owner, (first[owner], i))
    of_patients = [pair for pair in shared.values() if patients[pair[0]]]
    if of_patients and config.shared_patients == "refuse":
        a, b = of_patients[0]
        raise UserError(
            f"patient {shown(patients[a])} is in two splits: {where(a)} ({given[a]}) and {where(b)} "
            f"({given[b]}); so are {len(of_patients):,} patients in all. Mend the splits, or accept it with "
            "data.shared_patients: accept"
        )
    if of_patients:
        note(f"{len(of_patients):,} patients are in two splits, which the recipe accepts", "warning")
    copies = [owner for owner, (i, _) in shared.items() if not patients[i] and names[i] != owner]
    if copies and questions:
        a, b = shared[copies[0]]
        note(
            f"{len(copies):,} pictures are asked about in two splits ({where(a)} and {where(b)}): a test on "
            "them flatters",
            "warning",
        )
    elif copies:
        note(
            f"copies of {len(copies):,} scans are in two splits ({some(copies)}): a test on them flatters",
            "warning",
        )


def _tell(parts: Sequence[str], given: Sequence[str] | None, how: str, patients: Sequence[str]) -> None:
    counts = Counter(parts)
    sizes = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS)
    carved = sum(a != b for a, b in zip(parts, given, strict=True)) if given is not None else 0
    kept = f"; {carved:,} train cases became validation, by a hash" if carved else ""
    note(f"splits {how}: {sizes}{kept}")
    unknown = sum(not patient for patient in patients)
    if 0 < unknown < len(patients):
        note(
            f"{unknown:,} of {len(patients):,} cases have no patient; each counts as a patient of its own",
            "warning",
        )


def _carved(uniform: float, split: str) -> str:
    return "validation" if split == "train" and uniform < VALIDATION_SHARE else split


def _uniform(owner: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8], "big") / 2**64

"""Where the public data sets can be had, for the line that says that they are absent."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.data.settings import DATA_ROOT_VARIABLE
from vrft_aug.errors import UserError

MEDMNIST = "https://zenodo.org/records/10519652"
SOURCES = {
    "busi": "https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
    "idrid": "https://ieee-dataport.org/open-access/indian-diabetic-retinopathy-image-dataset-idrid",
}  # by the name of the folder under the data root


def absent(path: Path, root: Path, what: str) -> UserError:
    """The error for a file of the data that is not there."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    source = (
        MEDMNIST if what == "medmnist" else next((SOURCES[part] for part in parts if part in SOURCES), None)
    )
    hint = f"; the data can be had at {source}" if source else ""
    return UserError(
        f"{path} does not exist{hint}; the data root is {root}: data_root in the recipe, else "
        f"{DATA_ROOT_VARIABLE}, else data/ in the working folder"
    )

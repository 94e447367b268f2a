"""pydicom without a word: its warnings, logs and errors quote header values, which may name a patient.

Everything of ours that touches a DICOM file does so inside `dicom_file`, whose errors say in words of their
own what failed. A header value is kept in memory at most; nothing here prints one.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError

SUFFIXES = (".dcm", ".dicom", ".ima")
MAGIC = b"DICM"  # at byte 128


class Unreadable(Exception):
    """Why a file cannot be used, in words without any value of its header."""


@contextmanager
def dicom_file(path: Path, case: str = "") -> Iterator[Any]:
    """Yields the module pydicom; what goes wrong inside becomes one line that quotes nothing of the file."""
    of_case = f" of case {case}" if case else ""
    pydicom = import_pydicom()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield pydicom
        except FileNotFoundError:
            raise UserError(f"image {path}{of_case} does not exist") from None
        except Unreadable as error:
            raise UserError(f"image {path}{of_case} cannot be read as DICOM: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # of pydicom and its decoders; their text may quote the header
            reason = _reason(error)
            raise UserError(f"image {path}{of_case} cannot be read as DICOM: {reason}") from None


def import_pydicom() -> Any:
    """The module, silenced; UserError where it is not installed."""
    try:
        import pydicom
        from pydicom import config
    except ImportError:
        raise UserError("DICOM files need the package pydicom: pip install 'vrft-aug[dicom]'") from None
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    config.settings.reading_validation_mode = config.IGNORE
    return pydicom


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its magic number, or, without one, by its suffix."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == MAGIC or path.suffix.lower() in SUFFIXES


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "InvalidDicomError":
        return "it does not begin as a DICOM file does; is it one, and whole?"
    if isinstance(error, EOFError | OSError | ValueError | KeyError | AttributeError | IndexError):
        return f"it is truncated or damaged, or its header is at odds with its pixels ({kind})"
    return f"its pixels cannot be decoded ({kind})"

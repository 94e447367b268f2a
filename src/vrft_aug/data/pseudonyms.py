"""Names for patients and pictures that say nothing of them: keyed hashes of what the data calls them.

Without the key nobody can try out hospital numbers until one fits. The key comes from the environment
variable VRFT_PATIENT_KEY, else from the file `.vrft-patient-key` in the data root, which is made with a
random key when it is first needed: who may read it may read the data anyway. The same key gives the same
names, and so the same splits, on another machine.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from vrft_aug.errors import UserError

KEY_VARIABLE = "VRFT_PATIENT_KEY"
KEY_FILE = ".vrft-patient-key"
SHORTEST = 16  # characters of a key
LENGTH = 16  # hexadecimal digits of a name: 64 bits


def patient_key(root: Path) -> bytes:
    """The key of a data root; raises UserError where none is given and none can be made."""
    given = os.environ.get(KEY_VARIABLE)
    if given is not None:
        return _checked(given, KEY_VARIABLE)
    path = root / KEY_FILE
    try:
        if not path.is_file():
            _make(path)
        return _checked(path.read_text(encoding="ascii").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the key for patients' names cannot be kept in {path} ({type(error).__name__}); set "
            f"{KEY_VARIABLE} to a secret of at least {SHORTEST} characters"
        ) from None


def pseudonym(key: bytes, what: str, *name: str) -> str:
    """16 hexadecimal digits for what is called `name`; `what` keeps patients apart from pictures."""
    message = "\0".join((what, *name)).encode("utf-8", "surrogateescape")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:LENGTH]


def _make(path: Path) -> None:
    """A random key in a file that only its owner can read; one that another process made first is kept."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def _checked(key: str, source: str) -> bytes:
    if len(key) < SHORTEST:
        raise UserError(
            f"the key for patients' names in {source} has {len(key)} characters; expected {SHORTEST} or more"
        )
    return key.encode()

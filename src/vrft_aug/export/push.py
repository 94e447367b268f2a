"""An exported folder on the Hugging Face hub: one commit to a repository, private unless asked otherwise."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.export.handed_model import HUB_NAME


def check_push(name: str) -> None:
    """UserError for a name that no repository can have, without a network, and without a token."""
    from huggingface_hub import constants, get_token

    if not HUB_NAME.match(name):
        raise UserError(f"--push {name} is no name on the hub; expected one like my-lab/fundus-grader")
    if constants.is_offline_mode():
        raise UserError(
            "--push needs the hub, but HF_HUB_OFFLINE is set; unset it, or export with --to FOLDER"
        )
    if get_token() is None:
        raise UserError("--push needs a token of the hub; run `hf auth login` once, or set HF_TOKEN")


def push_folder(folder: Path, name: str, public: bool) -> str:
    """Upload the folder to the repository of that name, which is made where there is none; gives its address.

    Raises UserError where the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=folder, commit_message="Export of a VRFT-Aug run", delete_patterns="*"
        )
    except Exception as error:
        if not _is_of_network(error):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"--push {name}: the hub cannot be reached or refuses: {reason}; the export needs a network and "
            "a token that may write there (`hf auth login`), or --to FOLDER"
        ) from None
    return str(address)


def _is_of_network(error: Exception) -> bool:
    """Whether the hub or the way to it failed, whichever HTTP library the hub's client has been built on."""
    return isinstance(error, OSError) or "HTTPError" in {one.__name__ for one in type(error).__mro__}

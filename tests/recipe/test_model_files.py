"""A model that cannot be loaded is found by its files, in one line, before any network is asked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import model_files
from vrft_aug.recipe.model_folder import TINY_FOLDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY_FOLDER, tmp_path / "mine"))


def test_tiny_and_a_folder_are_read_without_weights(folder: Path) -> None:
    found = model_files(ModelConfig(name=str(folder)))
    assert found is not None and found.parameters == 3_673_536 and found.context == 4096
    embedded = model_files(ModelConfig())
    assert embedded is not None and embedded.parameters == found.parameters


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_text(text)

    return damage


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def other_format(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lost_shard(folder: Path) -> None:
    drop("model.safetensors")(folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("config.json"), "holds no config.json; expected a transformers folder"),
        (
            drop("processor_config.json"),
            "holds no processor_config.json or preprocessor_config.json; expected",
        ),
        (drop("model.safetensors"), r"holds no \*.safetensors; expected safetensors weights"),
        (write("config.json", "{"), "config.json is not a valid JSON file"),
        (write("config.json", "[]"), "config.json holds no object with a model_type"),
        (write("config.json", "{}"), "names no model_type"),
        (write("model.safetensors", "abc"), "is no whole safetensors file"),
        (cut, "is no whole safetensors file: it is cut off"),
        (other_format, "pytorch_model.bin is no safetensors file; convert it"),
        (lost_shard, "lacks model-00001-of-00002.safetensors, which"),
    ],
)
def test_a_folder_that_is_no_model(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    for read in (model_files, load_policy):
        with pytest.raises(UserError, match=message) as caught:
            read(ModelConfig(name=str(folder)))
        assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", "model.name is 'tinny'; did you mean 'tiny'"),
        ("Tiny", "did you mean 'tiny'"),
        ("qwen", "expected `tiny`, a folder, or a hub name like"),
        ("./nowhere", "model folder ./nowhere does not exist"),
        ("a/b/c", "model folder a/b/c does not exist"),
    ],
)
def test_a_name_that_can_be_none_asks_no_network(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", asked)
    for read in (model_files, load_policy):
        with pytest.raises(UserError, match=message):
            read(ModelConfig(name=name))


def test_a_folder_nearly_named_is_suggested(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'mine'"):
        model_files(ModelConfig(name=str(folder.parent / "mien")))


def test_a_hub_name_that_is_not_here_is_not_asked_for(tmp_path: Path) -> None:
    config = ModelConfig(name="nobody/nothing", load={"cache_dir": str(tmp_path)})
    assert model_files(config) is None


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ({"revison": "main"}, "takes no 'revison'; did you mean 'revision'"),
        ({"dtype": "float32"}, "dtype is set by model.dtype"),
        ({"attn_implementation": "spda"}, "is 'spda'; did you mean 'sdpa'"),
    ],
)
def test_arguments_of_loading_are_known(load: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        model_files(ModelConfig(load=load))


def test_a_setting_of_the_models_config_may_be_loaded_with() -> None:
    assert model_files(ModelConfig(load={"image_token_id": 5, "attn_implementation": "eager"})) is not None

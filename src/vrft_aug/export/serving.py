"""What serves an exported model, and asks the server."""

from __future__ import annotations

from importlib import metadata, resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from vrft_aug.export.handed_model import HandedModel

TEMPLATES = "export/templates"


def dockerfile(model: HandedModel, dtype: str) -> str:
    """An image for vLLM and one for `transformers serve`, with the versions that are installed here.

    Nothing in it comes from the user but the base's name on the hub, which has no letter that Docker reads.
    """
    environment = Environment(
        loader=PackageLoader("vrft_aug", TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("Dockerfile").render(
        adapter=model.adapter,
        base=model.base,
        dtype=dtype,
        transformers=metadata.version("transformers"),
        torch=metadata.version("torch").partition("+")[0],
    )


def request_script() -> str:
    """A script that asks the server about a picture by Python alone."""
    return (resources.files("vrft_aug") / TEMPLATES / "request.txt").read_text(encoding="utf-8")

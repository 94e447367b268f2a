"""An audit of drawn pictures with boxes as JSON: plain numbers, read back as they were written."""

import json

from typer.testing import CliRunner

from vrft_aug.cli import app

FEW = [
    f"tasks.{task}.data.{split}=4"
    for task in ("lesions", "grade")
    for split in ("train", "validation", "test")
]


def test_the_json_of_drawn_boxes_is_whole() -> None:
    result = CliRunner().invoke(app, ["data", "fundus-demo", *FEW, "--json", "-"])
    assert result.exit_code == 0, (result.output, result.exception)
    (lesions,) = (task for task in json.loads(result.stdout)["tasks"] if task["name"] == "lesions")
    assert lesions["seen"]["lesions"] and all(
        0 <= one["below"] <= one["boxes"] for one in lesions["seen"]["lesions"]
    )

"""Files of questions in the layouts of public sets, drawn for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from helpers.data_files import save_image

COUNT = 24


def picture_bytes(root: Path) -> bytes:
    return save_image(root / "bytes.png").read_bytes()


def write(root: Path, name: str, records: Sequence[dict[str, Any]]) -> str:
    """Write records below a folder `set`, in the format that the name says; their path from the root."""
    write_records(root / "set" / name, records)
    return f"set/{name}"


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    name = path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        parquet.write_table(arrow.Table.from_pylist(list(records)), path)
    elif name.endswith(".jsonl"):
        path.write_text(
            "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8"
        )
    elif name.endswith(".csv"):
        rows = [list(records[0]), *(list(one.values()) for one in records)]
        path.write_text(
            "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows), encoding="utf-8"
        )
    else:
        path.write_text(json.dumps(list(records), ensure_ascii=False), encoding="utf-8")


def human(question: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": "MRI"}]


def chat(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"<image>{question}"}, {"role": "assistant", "content": "MRI"}]


LETTERED = {"A": "CT", "B": "MRI", "C": "PET"}
WHAT = "What modality?"


def layout_records(layout: str, root: Path, images: str = "imgs") -> tuple[str, list[dict[str, Any]]]:
    """The file name and records of a layout: picture i of 12, question WHAT, answer MRI or letter B."""
    for i in range(12):
        save_image(root / images / f"i{i}.png", seed=i)
    data = picture_bytes(root)
    made: list[dict[str, Any]] = []
    for i in range(COUNT):
        image = f"i{i % 12}.png"
        stored = {"bytes": data + b"\0" * (i % 12), "path": None}
        kinds: dict[str, dict[str, Any]] = {
            "vqa-rad": {"qid": i, "phrase_type": "test_para" if i % 4 == 3 else "freeform",
                        "image_name": image, "image_organ": "HEAD", "question": WHAT,
                        "question_type": "MODALITY", "answer": "MRI",
                        "answer_type": "CLOSED " if i % 2 else "OPEN"},
            "slake": {"img_id": i % 12, "img_name": image, "question": WHAT, "answer": "MRI", "q_lang": "en",
                      "modality": "MRI", "answer_type": "OPEN", "content_type": "Modality", "qid": i},
            "pathvqa": {"image": stored, "question": WHAT, "answer": "yes" if i % 2 else "MRI"},
            "pmc-vqa": {"Figure_path": image, "Question": WHAT, "Answer": "B", "Choice A": " A:CT",
                        "Choice B": " B:MRI", "Choice C": " C:PET", "Choice D": " D:film"},
            "omnimedvqa": {"dataset": "x", "question_id": f"q{i}", "question_type": "Modality Recognition",
                           "question": WHAT, "gt_answer": "MRI", "image_path": image, "option_A": "CT",
                           "option_B": "MRI", "modality_type": "MRI"},
            "medxpertqa": {"id": f"MM-{i}", "question": f"{WHAT}\nAnswer Choices: (A) CT (B) MRI (C) PET",
                           "options": LETTERED, "label": "B", "images": [image, f"i{(i + 1) % 12}.png"],
                           "medical_task": "Diagnosis", "body_system": "Nervous",
                           "question_type": "Reasoning"},
            "llava": {"id": str(i), "image": image, "conversations": human(WHAT)},
            "sharegpt": {"images": [image], "conversations": human(WHAT)},
            "ms-swift": {"images": [image], "messages": chat(WHAT)},
            "easyr1": {"images": [stored], "problem": f"<image>{WHAT}", "answer": "MRI"},
            "verl": {"data_source": "x", "prompt": [{"role": "user", "content": f"<image>{WHAT}"}],
                     "images": [stored], "reward_model": {"style": "rule", "ground_truth": "MRI"}},
            "problem-solution": {"image": image, "problem": f"{WHAT} A)CT, B)MRI, C)PET",
                                 "solution": "<answer> B </answer>"},
        }  # fmt: skip
        made.append(kinds[layout])
    name = {"pathvqa": "p.parquet", "easyr1": "p.parquet", "verl": "p.parquet", "pmc-vqa": "p.csv",
            "medxpertqa": "p.jsonl", "ms-swift": "p.jsonl"}.get(layout, "p.json")  # fmt: skip
    return write(root, name, made), made

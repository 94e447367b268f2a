import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from helpers.chat_server import Answer, serving
from vrft_aug.cli import app
from vrft_aug.drafting.draft_examples import class_examples, recipe_task
from vrft_aug.drafting.knowledge_draft import TRIES, Draft, draft_bank
from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.validate import check_bank, count_facts
from vrft_aug.nouns import Task
from vrft_aug.policy.endpoint import Endpoint
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_folder import TINY_FOLDER

pytest.importorskip("openai", reason="the extra `endpoint` is not installed")

LABELS = ("mild", "severe")
TASK = Task("grade", "grade", "How bad is it?", LABELS, "fundus photograph")


def told(label: str, **changed: Any) -> dict[str, Any]:
    """A class as a model drafts it."""
    look = {
        "what": f"{label} blots",
        "size": "",
        "shape": "round",
        "colour": "red",
        "texture": "",
        "where": "",
    }
    return {
        "label": label,
        "definition": f"It is {label}.",
        "synonyms": [],
        "attributes": [look],
        "confused_with": [],
        "typical": ["blots"],
        "may": [],
        "unlikely": [],
        **changed,
    }


def drafted(*classes: dict[str, Any]) -> dict[str, Any]:
    findings = [{"name": "blots", "synonyms": ["spots"]}]
    return {"title": "Grades", "findings": findings, "classes": list(classes or map(told, LABELS))}


def draft(
    answer: Callable[[dict[str, Any], int], Answer], task: Task = TASK
) -> tuple[Draft, list[dict[str, Any]]]:
    with serving(answer) as server:
        return draft_bank(Endpoint(server.url, "m", retries=0), "mine", task), server.requests


def always(text: str) -> Callable[[dict[str, Any], int], Answer]:
    return lambda _request, _number: Answer(text)


def test_a_draft_is_a_bank_that_nobody_has_reviewed() -> None:
    made, requests = draft(always(json.dumps(drafted())))
    bank = made.bank
    assert made.problems == () and (made.replies, made.prompt_tokens, made.completion_tokens) == (1, 11, 3)
    assert list(bank.classes) == list(LABELS) and bank.title == "Grades" and "m;" in bank.author
    assert not bank.reviewed and count_facts(bank).review == 6 and count_facts(bank).sourced == 0
    assert bank.classes["mild"].attributes[0].text == "mild blots: round, red"
    assert list(bank.findings) == ["blots"] and bank.findings["blots"].names == ("spots",)
    (request,) = requests
    assert request["response_format"]["json_schema"]["strict"] is True
    asked = request["messages"][1]["content"][0]["text"]
    assert "fundus photograph" in asked and '["mild", "severe"]' in asked and "least to most severe" in asked


def test_a_server_that_refuses_the_schema_is_asked_without() -> None:
    def answer(request: dict[str, Any], _number: int) -> Answer:
        if "response_format" in request:
            return Answer("no such field", status=422)
        return Answer(f"<think>{{hm}}</think>Here it is:\n```json\n{json.dumps(drafted())}\n```\nDone.")

    made, requests = draft(answer)
    assert made.problems == () and list(made.bank.classes) == list(LABELS)
    assert len(requests) == 2


def test_what_is_wrong_is_sent_back() -> None:
    replies = ["I cannot.", json.dumps(drafted(told("mild"))), json.dumps(drafted())]
    made, requests = draft(lambda _request, number: Answer(replies[number]))
    assert made.replies == 3 and made.problems == () and made.prompt_tokens == 33
    assert "no JSON object" in requests[1]["messages"][-1]["content"]
    assert "class 'severe' is missing" in requests[2]["messages"][-1]["content"]


def test_the_best_draft_is_kept_with_its_problems() -> None:
    long = drafted(told("mild", definition="word " * 99), told("severe"))
    made, _ = draft(always(json.dumps(long)))
    assert made.replies == TRIES and "words; expected at most" in made.problems[0]


def test_small_slips_are_mended() -> None:
    again = {"label": "mild", "tell": "So."}
    made, _ = draft(
        always(
            json.dumps(
                drafted(
                    told(
                        "Mild",
                        synonyms=["Severe", "slight", "slight"],
                        typical=["dots"],
                        may=["dots"],
                        unlikely=["blots"],
                    ),
                    told("severe", confused_with=[again, again, {"label": "severe", "tell": "No."}]),
                )
            )
        )
    )
    assert made.problems == ()
    assert made.bank.classes["mild"].synonyms.exact == ("slight",)
    assert made.bank.classes["mild"].typical == {"review": ("dots",)} and not made.bank.classes["mild"].may
    assert set(made.bank.findings) == {"dots", "blots"}
    assert list(made.bank.classes["severe"].confused_with) == ["mild"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("{" * 100_000, "broken"),
        ('{"a":' * 50_000, "broken"),
        ('{"title": "x"}', "findings: Field required"),
        (json.dumps(drafted(told("mild"), told("worse"), told("severe"))), "'worse' is none of the labels"),
    ],
)
def test_what_is_no_draft_ends_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UserError, match=f"model 'm' wrote no knowledge bank in {TRIES} replies: .*{says}"):
        draft(always(text))


def vrft(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_writes_a_bank_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    target = tmp_path / "mine.yaml"
    labels = ("none", "mild", "moderate", "severe", "proliferative")
    reply = json.dumps(drafted(*map(told, labels)))
    with serving(always(reply)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        given = ("knowledge", "draft", "fundus-demo", "--model", "m", "-o", target)
        result = vrft(*given, "--images", 1)
        assert result.exit_code == 0, result.output
        assert "not reviewed, 5 classes; 1 reply, 11 prompt + 3 completion tokens" in result.stdout
        assert "exists already" in vrft(*given).stderr
        assert vrft(*given, "--images", 1, "--overwrite").exit_code == 0  # from the cache
    assert server.keys == ["Bearer secret-key"]
    content = server.requests[0]["messages"][1]["content"]
    assert sum(part["type"] == "image_url" for part in content) == 5
    assert "secret-key" not in target.read_text() and target.read_text().startswith("# A draft")
    bank = load_bank(str(target))
    assert check_bank(bank, labels) == [] and not bank.reviewed
    shown = vrft("knowledge", "check", target, *labels)
    assert "mine: ok, 5 classes, 0 facts with a source, 15 marked for review, not reviewed" in shown.stdout


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["bloodmnist", "--images", "1"], "'bloodmnist' is no recipe; --images needs one"),
        (["bloodmnist", "--task", "x"], "it has no task 'x'"),
        (["fundus-demo", "--task", "grad"], "no task 'grad'; did you mean 'grade'"),
        (["fundus-dem"], "did you mean 'fundus-demo'"),
        (["bloodmnist", "--url", "nowhere"], "'nowhere' is no URL"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(
    given: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = vrft("knowledge", "draft", *given, "--model", "m")
    assert result.exit_code == 2 and says in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_served_model_is_asked_with_pictures(transformers_server: str) -> None:
    """The embedded model cannot draft; that its words come back, counted and judged, shows the rest."""
    recipe = load_recipe("fundus-demo")
    task = recipe_task(recipe, "grade")
    examples = class_examples(recipe, task, 1)
    assert [example.label for example in examples] == list(task.labels)
    endpoint = Endpoint(transformers_server, str(TINY_FOLDER))
    reply = endpoint.chat(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Grade this."}]}],
        [examples[0].image],
        max_tokens=8,
    )
    assert reply.prompt_tokens is not None and reply.prompt_tokens > 49  # the picture's tokens alone
    with pytest.raises(UserError, match=f"wrote no knowledge bank in {TRIES} replies"):
        draft_bank(endpoint, "mine", task, examples, max_tokens=8)

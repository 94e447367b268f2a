"""What enters a prompt from a bank: styles, controls, budget, order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import KnowledgeBank, load_bank, shipped_banks
from vrft_aug.knowledge.controls import derangement, unrelated_facts, unrelated_texts
from vrft_aug.knowledge.count import Count, injection_count, token_counter, words
from vrft_aug.knowledge.inject import Content, Style, injected_text
from vrft_aug.nouns import Case, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import TINY_FOLDER
from vrft_aug.recipe.task_config import Injection

SPACE = BoxSpace("processed")
TINY = token_counter(TINY_FOLDER / "tokenizer.json")
BANKS = {name: load_bank(name) for name in shipped_banks()}
WITH_PAIRS = [name for name in BANKS if name != "fundus"]
banks = st.sampled_from(sorted(BANKS))
seeds = st.integers(0, 2**32)
CONTENTS: tuple[Content, ...] = ("definitions", "attributes")


def labels_of(bank: KnowledgeBank) -> tuple[str, ...]:
    return tuple(bank.classes)


def spoken(text: str) -> dict[str, str]:
    """Label -> what is said of it, of the lines before the pairs."""
    lines = text.split("\nHow to tell")[0].splitlines()[1:]
    return {line[2:].split(":")[0]: line.split(": ", 1)[1] for line in lines}


@pytest.mark.parametrize("name", BANKS)
def test_definitions_and_attributes_have_a_line_a_label_in_order(name: str) -> None:
    bank = BANKS[name]
    for style in ("definitions", "attributes"):
        text = injected_text(bank, labels_of(bank), style)
        assert text.splitlines()[0] == "What is known:"
        assert tuple(spoken(text)) == labels_of(bank)
        for label, known in bank.classes.items():
            assert spoken(text)[label].startswith(known.definition)
            shown = [attribute.text in spoken(text)[label] for attribute in known.attributes]
            assert all(shown) if style == "attributes" else "Look for" not in text


def test_the_words_that_the_embedded_model_has_learnt_stay() -> None:
    text = injected_text(BANKS["fundus"], labels_of(BANKS["fundus"]), "definitions")
    assert text.splitlines()[:3] == [
        "What is known:",
        "- none: no lesions.",
        "- mild: microaneurysms (small dark red dots) only.",
    ]


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_contrastive_puts_confusable_classes_side_by_side(name: str) -> None:
    bank = BANKS[name]
    text = injected_text(bank, labels_of(bank), "contrastive")
    pairs = text.split("How to tell them apart:\n")[1].splitlines()
    assert len(pairs) == len(set(pairs)) == sum(len(known.confused_with) for known in bank.classes.values())
    assert all(pair.startswith("- ") and " or " in pair and "? " in pair for pair in pairs)
    assert tuple(spoken(text)) == labels_of(bank)


def test_contrastive_needs_a_bank_that_tells_classes_apart() -> None:
    with pytest.raises(UserError, match="'fundus' tells no two labels apart"):
        injected_text(BANKS["fundus"], labels_of(BANKS["fundus"]), "contrastive")
    with pytest.raises(UserError, match="tells no two labels apart"):
        injected_text(BANKS["idrid"], ["mild", "proliferative"], "contrastive")


@given(st.integers(2, 20), seeds)
def test_a_derangement_leaves_nothing_in_its_place(size: int, seed: int) -> None:
    order = derangement(size, seed)
    assert sorted(order) == list(range(size))
    assert all(place != item for place, item in enumerate(order))
    assert order == derangement(size, seed)


def test_every_derangement_is_drawn() -> None:
    drawn = {tuple(derangement(4, seed)) for seed in range(300)}
    assert len(drawn) == 9  # all there are of four


@given(banks, seeds, st.sampled_from(CONTENTS))
def test_shuffled_has_the_right_texts_under_the_wrong_classes(name: str, seed: int, of: Content) -> None:
    bank = BANKS[name]
    true = spoken(injected_text(bank, labels_of(bank), of))
    wrong = spoken(injected_text(bank, labels_of(bank), "shuffled", of=of, seed=seed))
    assert tuple(wrong) == tuple(true)
    assert sorted(wrong.values()) == sorted(true.values())
    assert all(wrong[label] != true[label] for label in true)


@given(banks, seeds, st.sampled_from(CONTENTS))
def test_irrelevant_is_as_long_in_words_and_says_nothing_of_the_bank(
    name: str, seed: int, of: Content
) -> None:
    bank = BANKS[name]
    true = spoken(injected_text(bank, labels_of(bank), of))
    other = spoken(injected_text(bank, labels_of(bank), "irrelevant", of=of, seed=seed))
    assert {label: words(text) for label, text in other.items()} == {
        label: words(text) for label, text in true.items()
    }
    facts = set(unrelated_facts())
    for text in other.values():
        assert {f"{fact}." for fact in text.removesuffix(".").split(". ")} <= facts
    assert len(set(other.values())) == len(other)


@pytest.mark.parametrize("name", BANKS)
def test_irrelevant_is_nearly_as_long_in_tokens(name: str) -> None:
    bank = BANKS[name]
    for of in CONTENTS:
        true = TINY(injected_text(bank, labels_of(bank), of))
        other = TINY(injected_text(bank, labels_of(bank), "irrelevant", of=of, count=TINY))
        assert other == pytest.approx(true, rel=0.1)


def test_lengths_that_facts_cannot_reach_are_neared() -> None:
    assert [words(text) for text in unrelated_texts((1, 5, 2), 0, words)] == [2, 5, 2]
    (everything,) = unrelated_texts((10_000,), 0, words)
    assert words(everything) == sum(map(words, unrelated_facts()))


@pytest.mark.parametrize("style", ["attributes", "contrastive", "shuffled", "irrelevant"])
@pytest.mark.parametrize("count", [words, TINY], ids=["words", "tokens"])
@pytest.mark.parametrize("order", ["fixed", "random"])
def test_a_budget_is_kept_by_whole_facts_and_more_of_it_loses_none(
    style: Style, count: Count, order: Literal["fixed", "random"]
) -> None:
    for name in ("idrid", "bloodmnist", "organamnist"):
        bank = BANKS[name]
        labels = labels_of(bank)

        def text(budget: int | None) -> str:
            return injected_text(
                bank, labels, style, of="attributes", budget=budget, count=count, order=order, case="c"  # noqa: B023
            )  # fmt: skip

        least = count(injected_text(bank, labels, "definitions") + "\n")
        before: set[str] = set()
        for budget in range(least + 10, count(text(None)) + 40, 7):
            cut = text(budget)
            assert count(cut) <= budget
            if style == "irrelevant":
                continue
            told = facts_in(bank, cut)
            assert set(spoken(cut)) == set(labels)  # no class is left out
            assert before <= told
            before = told
        assert text(10**6) == text(None)


def facts_in(bank: KnowledgeBank, text: str) -> set[str]:
    """The attributes and differences that are told whole; fails where one is told in part."""
    looks = [part for one in spoken(text).values() if "Look for: " in one
             for part in one.split("Look for: ")[1].removesuffix(".").split("; ")]  # fmt: skip
    pairs = [line.split("? ", 1)[1] for line in text.splitlines() if line.startswith("- ") and "? " in line]
    known = {a.text for k in bank.classes.values() for a in k.attributes}
    known |= {d.tell for k in bank.classes.values() for d in k.confused_with.values()}
    assert {*looks, *pairs} <= {part for fact in known for part in (fact, *fact.split("; "))}
    return {*looks, *pairs}


def test_a_budget_cuts_all_classes_alike() -> None:
    bank = BANKS["idrid"]
    full = words(injected_text(bank, labels_of(bank), "attributes"))
    for budget in range(110, full, 10):
        told = spoken(injected_text(bank, labels_of(bank), "attributes", budget=budget))
        shown = {label: sum(a.text in told[label] for a in bank.classes[label].attributes) for label in told}
        for label, number in shown.items():
            has = len(bank.classes[label].attributes)
            assert number >= min(has, max(shown.values()) - 1)


def test_a_budget_below_the_definitions_is_refused() -> None:
    with pytest.raises(UserError, match=r"budget 50 does not hold the definitions, which take \d+"):
        injected_text(BANKS["idrid"], labels_of(BANKS["idrid"]), "attributes", budget=50)


def prompts(injection: Injection, ids: Sequence[str], name: str = "idrid") -> list[str]:
    bank = BANKS[name]
    task = Task("grade", "grade", "How bad is it?", labels_of(bank))
    cases = [Case(id, (), Target()) for id in ids]
    return [build_prompt(task, case, SPACE, injection, bank).knowledge for case in cases]


@given(seeds, st.text(max_size=9), st.sampled_from(["definitions", "contrastive", "shuffled", "irrelevant"]))
def test_order_depends_on_case_and_seed_alone(seed: int, id: str, style: Style) -> None:
    injection = Injection(style=style, order="random", seed=seed)
    fixed = Injection(style=style, seed=seed)
    (once,), (again,), (plain,) = prompts(injection, [id]), prompts(injection, [id]), prompts(fixed, [id])
    assert once == again
    assert sorted(once.splitlines()) == sorted(plain.splitlines())
    assert spoken(once) == spoken(plain)  # the same of every label


def test_no_label_has_a_place_of_its_own() -> None:
    told = prompts(Injection(style="definitions", order="random"), [str(number) for number in range(400)])
    orders = [tuple(spoken(text)) for text in told]
    for label in labels_of(BANKS["idrid"]):
        for place in range(5):
            share = sum(order[place] == label for order in orders) / len(orders)
            assert 0.13 < share < 0.27  # a fifth
    assert told != prompts(Injection(style="definitions", order="random", seed=1), list(map(str, range(400))))


@pytest.mark.parametrize("place", ["system", "user"])
@pytest.mark.parametrize("style", [style for style in get_args(Style) if style != "none"])
def test_the_prompt_holds_exactly_what_it_says_was_injected(
    place: Literal["system", "user"], style: Style
) -> None:
    bank = BANKS["idrid"]
    task = Task("grade", "grade", "How bad is it?", labels_of(bank))
    injection = Injection(style=style, place=place, order="random")
    prompt = build_prompt(task, Case("a", (), Target()), SPACE, injection, bank)
    texts = {message["role"]: message["content"][-1]["text"] for message in prompt.messages}
    assert prompt.knowledge and texts[place].count(prompt.knowledge) == 1
    assert prompt.knowledge not in texts["user" if place == "system" else "system"]


def test_nothing_is_injected_unasked() -> None:
    assert prompts(Injection(), ["a"]) == [""]
    task = Task("grade", "grade", "How bad is it?", ("mild", "severe"))
    assert build_prompt(task, Case("a", (), Target()), SPACE, Injection(style="attributes")).knowledge == ""


def test_one_label_cannot_be_shuffled() -> None:
    with pytest.raises(UserError, match="at least two labels"):
        injected_text(BANKS["idrid"], ["mild"], "shuffled")
    with pytest.raises(ValueError, match="cannot be deranged"):
        derangement(1, 0)


def test_tokens_are_counted_by_the_file_of_the_model_alone(tmp_path: Path) -> None:
    in_tokens = Injection(unit="tokens")
    assert injection_count(in_tokens, ModelConfig())("small dark red dots") == TINY("small dark red dots") > 0
    assert injection_count(Injection(), ModelConfig(name="nobody/nothing")) is words
    with pytest.raises(UserError, match=r"tokenizer of model .* with injection.unit=words none is needed"):
        injection_count(in_tokens, ModelConfig(name=str(tmp_path)))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer"):
        injection_count(in_tokens, ModelConfig(name=str(tmp_path)))

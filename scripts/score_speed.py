"""How many completions a second one core scores, by kind of task and reward term.

    OMP_NUM_THREADS=1 python scripts/score_speed.py [COUNT]

Completions are drawn with a fixed seed: right, wrong, oddly written and unreadable ones, mostly of texts of
their own, so that no cache answers. Wanted are 20,000 a second of processor time for labels, choices and
exact texts, 2,000 for BLEU and F1, and 3,000 for the fact rewards on 40 words of reasoning that name findings
of a bank; last, how long it takes to load all banks (wanted: 150 ms).
"""

from __future__ import annotations

import json
import random
import sys
import time

from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.nouns import Case, Prompt, Rollout, Target, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

LABELS = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
WORDS = [
    "the",
    "left",
    "right",
    "lower",
    "upper",
    "lobe",
    "lung",
    "shows",
    "a",
    "small",
    "large",
    "effusion",
    "nodule",
    "near",
    "hilum",
    "with",
    "no",
    "sign",
    "of",
]
FORMS = (
    "{}",
    "{}.",
    "**{}**",
    "({})",
    "The answer is {}.",
    "\\boxed{{{}}}",
    '{{"answer": "{}"}}',
    "not {}",
    "{} or",
)
FACTS = ("consistency", "grounding")  # by this bank, whose labels are those above
BANK = "idrid"
PARTS = {
    "label": ({"format": 0.2, "accuracy": 1.0}, 20_000),
    "choice": ({"format": 0.2, "accuracy": 1.0}, 20_000),
    "exact text": ({"format": 0.2, "accuracy": 1.0}, 20_000),
    "token_f1": ({"token_f1": 1.0}, 2_000),
    "bleu": ({"bleu": 1.0}, 2_000),
    "rouge_l": ({"rouge_l": 1.0}, 2_000),
    "consistency": ({"consistency": 1.0}, 3_000),
    "grounding": ({"grounding": 1.0}, 3_000),
}


def work(part: str, count: int) -> tuple[Task, list[tuple[Case, str]]]:
    """The task and `count` pairs of case and completion, as lines of a file hold them."""
    rng = random.Random(0)
    pairs = []
    task = Task(
        "t",
        {"label": "grade", "choice": "choice"}.get(part, "grade" if part in FACTS else "answer"),
        "?",
        LABELS if part == "label" or part in FACTS else (),
    )
    cases = []
    for i in range(1000):
        options = tuple(rng.sample([f"{one} {i}" for one in LABELS], 4))
        target = {"label": Target(label=rng.choice(LABELS)), "choice": Target(label=options[0])}
        target |= dict.fromkeys(FACTS, Target(label=LABELS[2], present=frozenset({"haemorrhages"})))
        text = Target(text=" ".join(rng.sample(WORDS, 5)))
        cases.append(Case(f"c{i}", (), target.get(part, text), options=options if part == "choice" else ()))
    findings = sorted(load_bank(BANK).findings) if part in FACTS else []
    for _ in range(count):
        case = rng.choice(cases)
        if part == "label" or part in FACTS:
            said = rng.choice(LABELS)
        elif part == "choice":
            said = rng.choice(["A", "B", "C", "D", f"B) {case.options[1]}", case.options[0]])
        else:
            said = rng.choice([str(case.target.text), " ".join(rng.sample(WORDS, rng.randint(3, 9)))])
        words = rng.choices(WORDS, k=40)
        for place in rng.sample(range(40), 5) if findings else ():
            words[place] = f"{rng.choice(findings)}{rng.choice(['', ',', '.'])}"
        thought = " ".join(words)
        answer = rng.choice(FORMS[: 1 if rng.random() < 0.7 else None]).format(said)
        pairs.append((case, json.dumps({"completion": f"<think>{thought}</think><answer>{answer}</answer>"})))
    return task, pairs


def main() -> None:
    """Print a line a part."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    start = time.process_time()
    names = shipped_banks()
    banks = {name: load_bank(name) for name in names}
    loading = 1000 * (time.process_time() - start)
    for part, (rewards, wanted) in PARTS.items():
        task, pairs = work(part, count if wanted > 3_000 else count // 10)
        terms = {name: RewardConfig(weight=weight) for name, weight in rewards.items()}
        scorer = Scorer(task, terms, banks[BANK] if part in FACTS else None)
        prompt = Prompt((), ())
        start = time.process_time()
        total = 0.0
        for case, line in pairs:
            total += scorer.score(case, prompt, Rollout(json.loads(line)["completion"]), None).total
        rate = len(pairs) / (time.process_time() - start)
        print(f"{part:12} {rate:10,.0f} a second (wanted {wanted:,}); mean reward {total / len(pairs):.3f}")
    print(f"{len(names)} banks loaded in {loading:.0f} ms (wanted 150)")


if __name__ == "__main__":
    main()

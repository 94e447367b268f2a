"""Is there anything for reinforcement to work with? Pass rates of a model before any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vrft_aug.errors import UserError
from vrft_aug.evaluation.evaluate import model_hash
from vrft_aug.evaluation.metrics.bootstrap import Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.catalogue import groups
from vrft_aug.evaluation.metrics.votes import passing, powers_of_two
from vrft_aug.evaluation.probe_progress import ProbeProgress
from vrft_aug.evaluation.provenance import hash_recipe
from vrft_aug.nouns import Case, FailureReason, Rollout, Task
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import Policy
from vrft_aug.policy.progress_bar import watching
from vrft_aug.policy.work_sharing import from_main, over_processes
from vrft_aug.processes import process_count
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.scorer import Scorer, is_flat
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.pass_rates import CaseRate, PassRates, TaskRates, hash_prompts, is_right
from vrft_aug.tasks.targets import target_answer
from vrft_aug.tasks.taskset import TaskSet, draw, load_taskset, stage_scorer

REPLICATES = 1000


@dataclass(frozen=True)
class ProbedCase:
    """A case with what its completions came to; its first three are named as in the rows of a report."""

    case: str
    patient: str | None
    picture: str | None
    classes: tuple[str, ...]  # what is true of it, for a line of each class; () for questions
    truth: str | None  # the same as one answer; None where other cases have other answers to choose from
    right: int
    samples: int
    flat: bool | None  # whether all completions earn the same under the stage's rewards; None: no rewards
    answers: tuple[str, ...] = ()  # of every completion that could be read
    failures: tuple[FailureReason, ...] = ()  # of all others


@dataclass(frozen=True)
class ProbedTask:
    """What a model does with a task as a stage asks it."""

    task: str
    stage: str  # whose prompt and rewards it is; "evaluation" where no stage pays by rewards
    of: int  # cases in the split
    samples: int
    cases: tuple[ProbedCase, ...]
    figures: Mapping[tuple[str, str], Metric] = field(default_factory=dict)  # name, class ("" for all)


@dataclass(frozen=True)
class Probe:
    """All tasks, and the pass rates of their cases."""

    tasks: tuple[ProbedTask, ...]
    rates: PassRates


def probed_parts(recipe: Recipe) -> list[StageConfig | None]:
    """The first part that rewards each task, in order; [None] where no stage does: the evaluation's task."""
    parts = [part for stage in recipe.stages for part in stage.parts() if part.method == "grpo"]
    first = {part.task: part for part in reversed(parts)}
    found: list[StageConfig | None] = [first[task] for task in dict.fromkeys(part.task for part in parts)]
    return found or [None]


def probe(
    policy: Policy,
    recipe: Recipe,
    samples: int = 8,
    limit: int | None = None,
    progress: Callable[[Mapping[str, Any]], ProbeProgress] | None = None,
) -> Probe:
    """Ask (at most `limit`) training cases of every rewarded task `samples` times, as its stage will.

    Prompt, knowledge, temperature and length are the stage's; the same call gives the same rates. `progress`
    is given what the completions hang on and tells what is there already; without, nothing is kept. Several
    processes share the cases out, and all get the rates, which are those of one process; the main one alone
    keeps. Raises UserError where data or rewards are wrong.
    """
    asked = []
    for part in probed_parts(recipe):
        name = part.task if part is not None else recipe.evaluation.task
        injection = part.injection if part is not None else recipe.evaluation.injection
        taskset = load_taskset(recipe, name, "train", injection, policy.space)
        scorer = stage_scorer(part, taskset) if part is not None else None
        asked.append((part, taskset, scorer))
    tasks, rates, chosen_of = [], {}, [_chosen(taskset, limit) for _, taskset, _ in asked]
    hashed = model_hash(policy)
    header = {
        "what": "vrft probe",
        "model": policy.name,
        "model_hash": hashed,
        "recipe": hash_recipe(recipe),
        "samples": samples,
        "prompts": [hash_prompts(chosen.cases, chosen.prompts) for chosen in chosen_of],
    }
    kept: ProbeProgress | None = None

    def begin() -> None:
        nonlocal kept
        kept = progress(header) if progress is not None else None

    from_main(begin)
    for (part, taskset, scorer), chosen in zip(asked, chosen_of, strict=True):
        temperature = float(part.trainer.get("temperature", 1.0)) if part is not None else 1.0
        longest = part.max_new_tokens if part is not None else recipe.evaluation.max_new_tokens
        written = _written(policy, recipe, chosen, samples, temperature, longest, progress is not None, kept)
        cases = tuple(
            _judged(
                policy,
                scorer or Scorer(taskset.task, {}, taskset.bank),
                chosen,
                i,
                rollouts,
                part is not None,
            )
            for i, rollouts in enumerate(written)
        )
        stage = part.place.removeprefix("stages.") if part is not None else "evaluation"
        found = ProbedTask(taskset.task.name, stage, len(taskset.cases), samples, cases)
        tasks.append(measured(found, recipe.seed))
        rates[taskset.task.name] = TaskRates(
            split="train",
            prompts=hash_prompts(chosen.cases, chosen.prompts),
            temperature=temperature,
            cases={one.case: CaseRate(right=one.right, samples=one.samples) for one in cases},
        )
    return Probe(
        tuple(tasks),
        PassRates(
            model=policy.name,
            model_hash=hashed,
            recipe=recipe.name,
            recipe_hash=hash_recipe(recipe),
            seed=recipe.seed,
            tasks=rates,
        ),
    )


def _written(
    policy: Policy,
    recipe: Recipe,
    chosen: TaskSet,
    samples: int,
    temperature: float,
    longest: int,
    keeping: bool,
    kept: ProbeProgress | None,
) -> list[list[Rollout]]:
    """The completions of every case, those that are kept already and the others batch by batch.

    A completion hangs on the seed, the place of its case and its number alone, so that it does not matter
    which are there. Where they are kept (`keeping`), the main process has `kept`.
    """
    task, size = chosen.task.name, max(samples, recipe.evaluation.batch_size)

    def there() -> list[list[dict[str, Any]] | None]:
        found = [kept.kept(task, case.id) if kept is not None else None for case in chosen.cases]
        return [None if own is None else list(map(asdict, own)) for own in found]

    known = [None if own is None else [Rollout(**one) for one in own] for own in from_main(there)]
    left = [place for place, own in enumerate(known) if own is None]
    at_once = max(1, size // samples) * process_count() if keeping else max(1, len(left))
    with watching(f"{task}: {samples} answers a case", len(chosen.cases)) as done:
        done(len(known) - len(left))
        for start in range(0, len(left), at_once):
            places = left[start : start + at_once]
            made = generate(
                policy,
                [chosen.prompts[place] for place in places],
                samples=samples,
                temperature=temperature,
                max_new_tokens=longest,
                batch_size=size,
                seed=recipe.seed,
                names=[str(place) for place in places],
                done=done,
                spread=over_processes,
            )
            if kept is not None:
                ids = [chosen.cases[place].id for place in places]
                kept.keep(task, list(zip(ids, made, strict=True)))
            for place, own in zip(places, made, strict=True):
                known[place] = own
    return [own for own in known if own is not None]


def measured(found: ProbedTask, seed: int) -> ProbedTask:
    """With its figures, each for all cases or for those of a class.

    `pass_at_1` and so on; `never`, `always` and `mixed`, the shares of the groups of which no, every, or some
    completion is right; `flat`, groups whose completions earn the same; `answered`; and `blind`, what the
    same answers dealt out without looking would get right at once.
    """
    statistics: dict[tuple[str, str], Statistic] = {}
    right = np.array([one.right for one in found.cases])
    for label in ("", *dict.fromkeys(name for one in found.cases for name in one.classes)):
        inside = np.array([not label or label in one.classes for one in found.cases], float)
        for k in powers_of_two(found.samples):
            passed = np.array([passing(found.samples, c, k) for c in right])
            statistics[f"pass_at_{k}", label] = ratio(passed * inside, inside)
        statistics["never", label] = ratio((right == 0) * inside, inside)
        statistics["always", label] = ratio((right == found.samples) * inside, inside)
        statistics["mixed", label] = ratio(((right > 0) & (right < found.samples)) * inside, inside)
    statistics["answered", ""] = ratio(
        [len(one.answers) for one in found.cases], [one.samples for one in found.cases]
    )
    if all(one.flat is not None for one in found.cases):
        statistics["flat", ""] = ratio([float(bool(one.flat)) for one in found.cases])
    if all(one.truth is not None for one in found.cases):
        statistics["blind", ""] = ratio(_blind(found.cases))
    figures = measure(statistics, groups(found.cases), replicates=REPLICATES, seed=seed)
    return ProbedTask(found.task, found.stage, found.of, found.samples, found.cases, figures)


def _blind(cases: Sequence[ProbedCase]) -> list[float]:
    """For each case the share of all completions that give its true answer: right without looking."""
    said = Counter(answer for one in cases for answer in one.answers)
    drawn = sum(one.samples for one in cases)
    return [said[one.truth or ""] / drawn for one in cases]


def _chosen(taskset: TaskSet, limit: int | None) -> TaskSet:
    """At most so many cases, of those whose truth is known."""
    known = [case for case in taskset.cases if _known(case, taskset.task)]
    if not known:
        raise UserError(f"task {taskset.task.name!r}: no training case has what the task asks for")
    kept = {case.id for case in draw(known, limit)}
    places = [i for i, case in enumerate(taskset.cases) if case.id in kept]
    return TaskSet(
        taskset.task,
        tuple(taskset.cases[i] for i in places),
        tuple(taskset.prompts[i] for i in places),
        taskset.bank,
    )


def _judged(
    policy: Policy, scorer: Scorer, taskset: TaskSet, place: int, rollouts: Sequence[Rollout], rewarded: bool
) -> ProbedCase:
    case, task = taskset.cases[place], taskset.task
    frame = case_frame(task, case, policy.frame)
    scores = [scorer.score(case, taskset.prompts[place], rollout, frame) for rollout in rollouts]
    answers = [score.answer for score in scores]
    right = sum(is_right(answer, case, task) == 1 for answer in answers)
    return ProbedCase(
        case=case.id,
        patient=case.patient,
        picture=case.picture,
        classes=_classes(case, task),
        truth=target_answer(case, task) if task.kind in ("classify", "grade") else _named(case, task),
        right=right,
        samples=len(rollouts),
        flat=is_flat([score.total for score in scores]) if rewarded else None,
        answers=tuple(_said(answer.value) for answer in answers if answer.reason is None),
        failures=tuple(answer.reason for answer in answers if answer.reason is not None),
    )


def _classes(case: Case, task: Task) -> tuple[str, ...]:
    if task.kind == "localise":
        return tuple(dict.fromkeys(box.label for box in case.target.boxes or () if box.label)) or ("no box",)
    if task.kind == "multilabel":
        return tuple(sorted(case.target.labels or ())) or ("none",)
    return (target_answer(case, task),) if task.kind in ("classify", "grade") else ()


def _named(case: Case, task: Task) -> str | None:
    return _said(case.target.labels) if task.kind == "multilabel" else None


def _known(case: Case, task: Task) -> bool:
    of_kind = {"localise": case.target.boxes, "multilabel": case.target.labels, "answer": case.target.text}
    return of_kind.get(task.kind, case.target.label) is not None


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return "no box" if not value else "boxes"
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)

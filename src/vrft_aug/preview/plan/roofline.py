"""Time of a step by part: the longer of its arithmetic and its bytes, at shares of a card's peaks.

The shares are assumed unless `vrft selftest --json` has measured a step on the card: then all parts are
stretched by what that step took against what it should have taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vrft_aug.policy.anatomy import Anatomy, Stack
from vrft_aug.preview.plan.activations import Precision
from vrft_aug.preview.plan.cards import Card
from vrft_aug.preview.plan.footprint import Sharding
from vrft_aug.preview.plan.work import Work

MATRIX = 0.4  # of a card's arithmetic that large products reach in eager PyTorch: assumed
STREAMED = 0.7  # of its bandwidth: assumed
CALL = 3e-4  # seconds that a block costs in Python and launches at each step of decoding: assumed
LINKED = 0.7  # of a link's bandwidth: assumed
MACHINE, NETWORK = 8, 50e9  # cards of a machine; bytes a second that each sends to other machines: assumed


@dataclass(frozen=True)
class Cost:
    """What a part of a step takes on one device.

    Args:
        flops: operations in projections and attention.
        moved: bytes read and written in the device's memory, where they are what limits.
        calls: blocks that are called one after another with next to nothing to compute.
        sent: bytes that leave the device.
    """

    flops: float = 0.0
    moved: float = 0.0
    calls: float = 0.0
    sent: float = 0.0


@dataclass(frozen=True)
class Pace:
    """How close to its peaks a card comes.

    Args:
        stretch: by how much all parts take longer than assumed.
        source: what says so.
    """

    stretch: float = 1.0
    source: str = "assumed shares of the card's peaks, not measured"


def step_costs(work: Work, model: Anatomy, precision: Precision, sharding: Sharding) -> dict[str, Cost]:
    """Of one optimiser step on each device, by part."""
    lengths, language = work.lengths, model.language
    passes = work.micro_batches
    prompts = work.pass_prompts * passes  # that the passes run in a step
    head = 2.0 * model.vocabulary * language.width
    scored = work.rows * lengths.completion
    forward = _language(language, work.step_tokens, lengths.mean + lengths.completion / 2)
    seen = _vision(model.vision, prompts * lengths.patches, lengths.patches)
    # A frozen tower's features are kept from the first time on.
    seen_in_training = seen if model.vision_flows or not work.shared else 0.0
    back = 1.0 if model.adapter else 2.0  # gradients of states, and of weights where they are trained
    again = 1.0 if work.checkpointing else 0.0
    costs: dict[str, Cost] = {}
    if work.method == "grpo":
        sampled = work.prompts if work.shared else work.rows
        prefill = _language(language, sampled * lengths.mean, lengths.mean / 2)
        prefilled = _vision(model.vision, sampled * lengths.patches, lengths.patches)
        costs["vision, sampling"] = Cost(flops=prefilled if model.vision_flows or not work.shared else 0.0)
        costs["prefill"] = Cost(flops=prefill)
        costs["decoding"] = _decoding(work, model, precision)
        times = int(work.rescored) + int(work.reference) + int(work.masked == "scored")
        if times:
            costs["scoring"] = Cost(flops=times * (forward + seen_in_training + head * scored))
    both = 2 if work.masked == "trained" else 1  # the true picture's pass, and the masked one's
    looked = seen_in_training * (1 + (back + again) * model.vision_flows)
    costs["vision, training"] = Cost(flops=both * looked)
    costs["forward"] = Cost(flops=both * (forward + head * scored))
    costs["backward"] = Cost(flops=both * ((back + again) * forward + (1 + back) * head * scored))
    costs["optimiser"] = Cost(moved=28.0 * model.trained / sharding.of("optimiser"))
    if sharding.processes > 1:
        costs["communication"] = Cost(sent=sent_bytes(work, model, precision, sharding))
    return costs


def among(card: Card, processes: int) -> Card:
    """The card with the link that limits so many: the network's where they are more than a machine holds."""
    return replace(card, link=min(card.link, NETWORK)) if processes > MACHINE else card


def sent_bytes(work: Work, model: Anatomy, precision: Precision, sharding: Sharding) -> float:
    """Bytes that each device sends in a step.

    A ring reduces gradients (float32) at 2 (n - 1) / n times their bytes; where weights are spread they are
    gathered for each forward and each backward pass, and for sampling.
    """
    share = (sharding.processes - 1) / sharding.processes
    gradients = 4.0 * model.trained
    if sharding.of("weights") == 1:
        return 2 * share * gradients
    weights = model.parameters * min(precision.weight, precision.compute) + model.adapter * 4
    gathered = 2 * work.micro_batches + (1 if work.method == "grpo" else 0)
    return share * (gradients * work.micro_batches + gathered * weights)


def seconds(cost: Cost, card: Card, precision: Precision, pace: Pace) -> float:
    """On a card: arithmetic or bytes, whichever is longer, and what goes on beside neither."""
    speed = card.half if precision.compute == 2 and card.native else card.single
    taken = max(cost.flops / (speed * MATRIX), cost.moved / (card.bandwidth * STREAMED)) + cost.calls * CALL
    sent = cost.sent / (card.link * LINKED) if cost.sent and card.link else 0.0
    return taken * pace.stretch + sent


def _language(stack: Stack, tokens: float, context: float) -> float:
    """A forward pass over tokens that each attend to `context` others on average."""
    return tokens * (2.0 * stack.multiplied + 4.0 * stack.layers * stack.asked * context)


def _vision(stack: Stack | None, patches: float, together: int) -> float:
    """Of patches that attend to all of their prompt's pictures, which is the most that they do."""
    if stack is None:
        return 0.0
    return patches * (2.0 * stack.multiplied + 4.0 * stack.layers * stack.asked * together)


def _decoding(work: Work, model: Anatomy, precision: Precision) -> Cost:
    """All tokens of the step's completions: each reads the weights once for all rows, and its own keys."""
    lengths, stack = work.lengths, model.language
    number = precision.compute
    weights = (stack.multiplied + model.vocabulary * stack.width) * float(number)
    prompts = work.prompts if work.shared else work.rows
    keys = 2.0 * stack.keys * stack.layers * number
    read = keys * (prompts * lengths.mean + work.rows * lengths.completion / 2)
    flops = work.rows * (
        2.0 * (stack.multiplied + model.vocabulary * stack.width)
        + 4.0 * stack.layers * stack.asked * (lengths.mean + lengths.completion / 2)
    )
    steps = lengths.completion
    # One round of sampling serves several steps: the weights are read as often, for more rows at once.
    reads = steps * weights / work.round_steps
    return Cost(
        flops=flops * steps, moved=reads + steps * read, calls=steps * stack.layers / work.round_steps
    )

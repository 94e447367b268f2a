"""Memory of a stage on one device, by part and by the moment of a step at which it is highest."""

from __future__ import annotations

from dataclasses import dataclass

from vrft_aug.policy.anatomy import Anatomy
from vrft_aug.preview.plan.activations import Precision, block_bytes, kept_bytes, transient_bytes
from vrft_aug.preview.plan.work import Work

TILE_TOKENS, TILE_WORDS = 4096, 32_768  # of the logits that TRL's fused head computes at once
TILES_IN_TORCH = 7  # of such a tile in float32, where no Triton kernel folds it
JOINED = (
    1 << 28
)  # bytes of a decoder up to which sampling copies its projections; policy/prefix/decoder_step.py
FIRST_BUFFER = 32  # tokens that the keys of sampling begin with; the buffer doubles
BUCKET = 4  # bytes of a trained parameter that DDP's buckets hold beside its gradient


@dataclass(frozen=True)
class Sharding:
    """What of the training state is spread over `processes`: 1 where it lies whole on each."""

    strategy: str = "ddp"
    processes: int = 1

    def of(self, part: str) -> int:
        """By how much `weights`, `gradients` or `optimiser` are divided."""
        spread = {
            "zero1": ("optimiser",),
            "zero2": ("optimiser", "gradients"),
            "zero3": ("optimiser", "gradients", "weights"),
            "fsdp2": ("optimiser", "gradients", "weights"),
        }.get(self.strategy, ())
        return self.processes if part in spread else 1


@dataclass(frozen=True)
class Footprint:
    """Bytes on each device.

    Args:
        parts: each at its own highest, by name.
        moments: the sum of what is there at once: sampling, forward, backward (where it starts and where it
            ends), optimiser.
        precision: what it was computed for.
    """

    parts: dict[str, int]
    moments: dict[str, int]
    precision: Precision

    @property
    def peak(self) -> int:
        """The highest of the moments."""
        return max(self.moments.values())

    @property
    def moment(self) -> str:
        """When that is."""
        return max(self.moments, key=self.moments.__getitem__)


def footprint(work: Work, model: Anatomy, precision: Precision, device: str, sharding: Sharding) -> Footprint:
    """Of a stage on a `device` (cpu, cuda or mps), with completions of full length and longest prompts."""
    trained = model.trained
    weights = model.parameters * precision.weight + model.adapter * 4
    gathered = 0.0
    if sharding.of("weights") > 1:  # whole blocks come and go: the one that runs and the next
        block = model.language.parameters / model.language.layers
        gathered = 2 * block * precision.weight + model.embedding * precision.weight
    stacks = [model.language.multiplied, model.vision.multiplied if model.vision else 0]
    copied = stacks[0] + (stacks[1] if model.vision_flows else 0) + model.vocabulary * model.language.width
    copies = 2.0 * copied if precision.autocast and not precision.adapted else 0.0
    if sharding.of("weights") > 1:
        copies /= model.language.layers
    held, running = activation_bytes(work, model, precision)
    parts = {
        "weights": weights / sharding.of("weights") + gathered,
        "copies": copies,
        "gradients": 4.0 * trained / sharding.of("gradients"),
        "optimiser": 8.0 * trained / sharding.of("optimiser"),
        "buckets": float(BUCKET * trained) if sharding.processes > 1 and sharding.strategy == "ddp" else 0.0,
        "reference": weights / sharding.of("weights") if work.reference and not model.adapter else 0.0,
        "activations": held + running + repeated_keys(work, model, precision, device),
        "logits": logits_bytes(work, model, precision, device),
        "pictures": picture_bytes(work, model),
        "kv_cache": cache_bytes(work, model, precision),
        "sampling": sampling_bytes(work, model, precision),
    }
    always = sum(parts[name] for name in ("weights", "optimiser", "buckets", "reference", "pictures"))
    head = 4.0 * model.vocabulary * model.language.width if model.trained >= model.embedding else 0.0
    earlier = parts["gradients"] if work.micro_batches > 1 else 0.0
    in_block = transient_bytes(model.language, precision) * work.pass_tokens + running
    started = max(parts["logits"] + earlier + head, in_block + max(earlier, head))
    # Autocast forgets its copies where the forward pass ends; what is not computed anew holds on to them.
    still = copies / model.language.layers if work.checkpointing else copies
    moments = {
        "forward": always + copies + earlier + held + parts["logits"] / 2,
        "backward, start": always + still + parts["activations"] - running + started,
        "backward, end": always + parts["gradients"],
        "optimiser": always + parts["gradients"],
    }
    if work.method == "grpo":
        moments["sampling"] = always + copies + parts["kv_cache"] + parts["sampling"] + parts["pictures"]
    return Footprint(
        {name: round(value) for name, value in parts.items()},
        {name: round(value) for name, value in moments.items()},
        precision,
    )


def activation_bytes(work: Work, model: Anatomy, precision: Precision) -> tuple[float, float]:
    """What the forward pass of a micro-batch leaves for its backward pass, and what a block adds to it there.

    The second is nothing without checkpointing: then the first is all.
    """
    language, tokens, again = model.language, work.pass_tokens, work.checkpointing
    held = kept_bytes(language, precision, model.rank, again, work.shared) * tokens
    held += (3 * precision.stream + 4) * language.width * tokens  # embeddings, pictures put in, last norm
    running = block_bytes(language, precision, model.rank, work.shared) * tokens
    if model.vision is not None and model.vision_flows:
        patches = work.pass_prompts * work.lengths.patches
        held += kept_bytes(model.vision, precision, model.rank, again) * patches
        held += patches * model.patch_numbers * precision.compute
        running = max(running, block_bytes(model.vision, precision, model.rank) * patches)
    if work.masked == "trained":  # both passes wait for the backward pass
        held *= 2
    return held, running if again else 0.0


def repeated_keys(work: Work, model: Anatomy, precision: Precision, device: str) -> float:
    """Where neither our CPU kernel nor flex_attention runs, a completion has its prompt's keys and values.

    With them goes a mask of what each completion sees; with checkpointing those of one block are there. A
    CUDA card on which flex_attention cannot be compiled (it says so) takes as much more.
    """
    if device != "mps" or not work.shared:
        return 0.0
    language, lengths = model.language, work.lengths
    seen = lengths.prompt + lengths.completion
    keys = 2 * language.asked * lengths.prompt * precision.compute
    mask = lengths.completion * seen * precision.compute
    return float(work.pass_rows * (keys + mask) * (1 if work.checkpointing else language.layers))


def logits_bytes(work: Work, model: Anatomy, precision: Precision, device: str) -> float:
    """Of the head in the backward pass: a tile of logits, and the gradient of the states that it reads."""
    scored = work.pass_rows * work.lengths.completion
    if not work.shared and device != "cuda":  # without Triton every position is scored
        scored = work.pass_rows * (work.lengths.prompt + work.lengths.completion)
    rows = min(scored, TILE_TOKENS)
    tile = rows * TILE_WORDS * precision.compute
    in_torch = 0 if device == "cuda" else TILES_IN_TORCH * 4 * rows * min(TILE_WORDS, model.vocabulary)
    return float(tile + in_torch + scored * model.language.width * (4 + precision.stream))


def picture_bytes(work: Work, model: Anatomy) -> float:
    """Pixels of a round, as the processor gives them in float32; once a group where groups share them."""
    prompts = work.prompts if work.shared else work.rows
    return 4.0 * prompts * work.round_steps * work.lengths.patches * model.patch_numbers


def cache_bytes(work: Work, model: Anatomy, precision: Precision) -> float:
    """Keys and values of a round of sampling."""
    if work.method != "grpo" or work.engine != "transformers":
        return 0.0
    token = 2 * model.language.keys * model.language.layers
    rows, prompts = work.rows * work.round_steps, work.prompts * work.round_steps
    if not work.shared:
        return float(rows * (work.lengths.prompt + work.lengths.completion) * token * precision.compute)
    room = FIRST_BUFFER
    while room < work.lengths.completion:
        room *= 2
    return float((prompts * work.lengths.prompt + rows * room) * token * 4)  # in float32, as scores are


def sampling_bytes(work: Work, model: Anatomy, precision: Precision) -> float:
    """What sampling holds besides keys and values: probabilities of the next tokens, copied projections."""
    if work.method != "grpo" or work.engine != "transformers":
        return 0.0
    rows = work.rows * work.round_steps
    scores = 4.0 * rows * model.vocabulary * 4
    decoder = model.language.parameters * precision.weight
    joined = decoder if decoder <= JOINED and work.shared and not precision.autocast else 0.0
    return scores + joined

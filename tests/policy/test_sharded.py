"""Weights under FSDP2 on two processes: whole while sampling, however often each calls; whole one by one."""

import json
from typing import Any

import torch

from helpers.launched import launch
from vrft_aug.policy.sharded import is_sharded, whole_weight, whole_weights


def small_model() -> torch.nn.Sequential:
    torch.manual_seed(3)
    return torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(3)))


def main() -> None:
    """What a process of the test below does."""
    from accelerate import PartialState
    from torch.distributed.fsdp import fully_shard

    rank, plain, model = PartialState(cpu=True).process_index, small_model(), small_model()
    for layer in model:
        fully_shard(layer)
    fully_shard(model)
    told, x = {}, torch.ones(2, 6)
    told["sharded"] = all(map(is_sharded, model.parameters()))
    with torch.no_grad(), whole_weights(model):
        told["whole"] = not any(map(is_sharded, model.parameters()))
        outputs = [model(x) for _ in range(1 + 3 * rank)]  # another number of calls in each
        told["equal"] = all(torch.equal(output, plain(x)) for output in outputs)
    told["again"] = all(map(is_sharded, model.parameters()))
    model(x).sum().backward()  # gathered and summed in step, as ever
    plain(x).sum().backward()
    both: list[tuple[Any, Any]] = list(zip(model.parameters(), plain.parameters(), strict=True))
    told["gradients"] = all(torch.allclose(mine.grad.full_tensor(), own.grad) for mine, own in both)
    values = []
    for weight in model.parameters():
        with torch.no_grad(), whole_weight(weight) as value:
            values.append(value)
    told["values"] = all(torch.equal(v, own) for v, own in zip(values, plain.parameters(), strict=True))
    print(json.dumps(told))


def test_sharded_weights_are_whole_for_sampling_and_then_sharded_again() -> None:
    said = launch([__file__], limit=120)
    assert [one.code for one in said] == [0, 0], said
    for one in said:
        told = json.loads(one.out)
        assert set(told) == {"sharded", "whole", "equal", "again", "gradients", "values"}
        assert all(told.values()), told


def test_other_models_stay_as_they_are() -> None:
    model = small_model()
    with whole_weights(model):
        assert not any(map(is_sharded, model.parameters()))
    weight = next(model.parameters())
    with whole_weight(weight) as value:
        assert value is weight


if __name__ == "__main__":
    main()

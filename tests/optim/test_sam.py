"""SAM against its algorithm by hand."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.optim import SAM, frozen_statistics

Closure = Callable[[], Tensor]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Closure:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(8, 4, generator=generator, dtype=torch.float64),
            torch.randint(3, (8,), generator=generator),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_equals_the_algorithm_by_loops(rho: float) -> None:
    model, slow = network(), network()
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1, momentum=0.9), rho=rho)
    velocity = [torch.zeros_like(p) for p in slow.parameters()]
    for step, (x, y) in enumerate(batches(5)):
        loss = optimizer.step(closure_of(model, optimizer, x, y))
        weights = [p.detach().clone() for p in slow.parameters()]
        slow.zero_grad()
        expected = nn.functional.cross_entropy(slow(x), y)
        expected.backward()
        norm = sum(float(value) ** 2 for p in slow.parameters() for value in p.grad.flatten()) ** 0.5  # type: ignore[union-attr]
        with torch.no_grad():
            for p in slow.parameters():
                p += rho * p.grad / norm  # type: ignore[operator]
        slow.zero_grad()
        nn.functional.cross_entropy(slow(x), y).backward()
        with torch.no_grad():
            for index, (p, before) in enumerate(zip(slow.parameters(), weights)):
                velocity[index] = p.grad if step == 0 else 0.9 * velocity[index] + p.grad  # type: ignore[assignment, operator]
                p.copy_(before - 0.1 * velocity[index])
        assert_close(loss, expected)
        assert float(optimizer.grad_norm) == pytest.approx(norm)
        for ours, theirs in zip(model.parameters(), slow.parameters()):
            assert_close(ours, theirs)


def test_a_tiny_radius_is_the_inner_optimiser() -> None:
    model, plain = network(), network()
    build = partial(torch.optim.AdamW, lr=1e-3, fused=True)
    optimizer, inner = SAM(model.parameters(), build, rho=1e-12), build(plain.parameters())
    for x, y in batches(4):
        optimizer.step(closure_of(model, optimizer, x, y))
        inner.step(closure_of(plain, inner, x, y))
    for ours, theirs in zip(model.parameters(), plain.parameters()):
        assert_close(ours, theirs)


def test_weights_come_back_bit_by_bit() -> None:
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.0), rho=0.3)
    moved: list[float] = []
    x, y = batches(1)[0]
    inner = closure_of(model, optimizer, x, y)

    def closure() -> Tensor:
        moved.append(float(sum((a.detach() - b).square().sum() for a, b in zip(model.parameters(), before))) ** 0.5)
        return inner()

    optimizer.step(closure)
    assert moved == [0.0, pytest.approx(0.3)]  # as far as rho, in the second pass alone
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before))


def test_the_norm_is_of_the_first_pass_whatever_the_closure_clips_in_the_second() -> None:
    model, reference = network(), network()
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    x, y = batches(1)[0]
    inner = closure_of(model, optimizer, x, y)

    def closure() -> Tensor:
        loss = inner()
        if optimizer.second_pass:
            nn.utils.clip_grad_norm_(model.parameters(), 1e-6)
        return loss

    optimizer.step(closure)
    nn.functional.cross_entropy(reference(x), y).backward()
    expected = torch.cat([p.grad.flatten() for p in reference.parameters()]).norm()  # type: ignore[union-attr]
    assert_close(optimizer.grad_norm, expected)
    for a, b in zip(model.parameters(), reference.parameters()):
        assert (a - b).norm() < 1e-6  # the step itself was clipped


def test_the_second_pass_is_told_and_over_after_the_step() -> None:
    model = network()
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    seen: list[bool] = []
    x, y = batches(1)[0]
    inner = closure_of(model, optimizer, x, y)

    def closure() -> Tensor:
        seen.append(optimizer.second_pass)
        return inner()

    optimizer.step(closure)
    assert seen == [False, True]
    assert not optimizer.second_pass


def test_a_failure_in_the_second_pass_leaves_the_weights_where_they_were() -> None:
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    x, y = batches(1)[0]
    inner = closure_of(model, optimizer, x, y)

    def closure() -> Tensor:
        if optimizer.second_pass:
            raise RuntimeError("out of memory")
        return inner()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before))
    assert not optimizer.second_pass


@pytest.mark.parametrize("at", ["zero_grad", "clear_autocast_cache"])
def test_a_stop_between_the_passes_leaves_the_weights_where_they_were(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Ctrl-C comes between any two lines; whoever keeps the weights then must not keep moved ones."""
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    x, y = batches(1)[0]
    inner = closure_of(model, optimizer, x, y)

    def stop(*_: object) -> None:
        monkeypatch.undo()
        assert not torch.equal(model[0].weight, before[0])
        raise KeyboardInterrupt

    def closure() -> Tensor:
        loss = inner()
        monkeypatch.setattr(*((optimizer, at) if at == "zero_grad" else (torch, at)), stop)
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before))


def test_a_closure_that_forgets_to_zero_does_not_add_the_passes() -> None:
    model, careful = network(), network()
    forgetful = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    optimizer = SAM(careful.parameters(), partial(torch.optim.SGD, lr=0.1))
    x, y = batches(1)[0]

    def closure() -> Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    forgetful.step(closure)
    optimizer.step(closure_of(careful, optimizer, x, y))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), careful.parameters()))


@pytest.mark.parametrize("inner", [{"fused": True}, {"foreach": True}, {"amsgrad": True}])
def test_a_saved_state_goes_on_exactly(inner: dict[str, bool]) -> None:
    build = partial(torch.optim.AdamW, lr=1e-2, **inner)  # type: ignore[arg-type]
    data = batches(6)
    straight = network()
    optimizer = SAM(straight.parameters(), build)
    for x, y in data:
        optimizer.step(closure_of(straight, optimizer, x, y))
    first = network()
    optimizer = SAM(first.parameters(), build)
    for x, y in data[:3]:
        optimizer.step(closure_of(first, optimizer, x, y))
    state: dict[str, Any] = optimizer.state_dict()
    second = network(7)
    second.load_state_dict(first.state_dict())
    optimizer = SAM(second.parameters(), build)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups is optimizer.base_optimizer.param_groups
    assert optimizer.state is optimizer.base_optimizer.state
    for x, y in data[3:]:
        optimizer.step(closure_of(second, optimizer, x, y))
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), second.parameters()))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_goes_on_as_the_original(duplicate: Callable[[Any], Any]) -> None:
    model = network()
    optimizer = SAM(model.parameters(), partial(torch.optim.AdamW, lr=1e-2), rho=0.3)
    data = batches(4)
    for x, y in data[:2]:
        optimizer.step(closure_of(model, optimizer, x, y))
    other, of_other = duplicate((model, optimizer))
    assert of_other.rho == 0.3
    for x, y in data[2:]:
        optimizer.step(closure_of(model, optimizer, x, y))
        of_other.step(closure_of(other, of_other, x, y))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))
    assert not torch.equal(next(model.parameters()), next(network().parameters()))


def test_a_scheduler_drives_the_inner_optimiser_also_after_a_load() -> None:
    model = network()
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=1.0))
    optimizer.load_state_dict(optimizer.state_dict())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    x, y = batches(1)[0]
    optimizer.step(closure_of(model, optimizer, x, y))
    schedule.step()
    assert optimizer.base_optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_groups_keep_their_settings_and_can_be_added() -> None:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].weight, "weight_decay": 0.0}]
    optimizer = SAM(groups, partial(torch.optim.AdamW, lr=0.1, weight_decay=0.2))
    optimizer.add_param_group({"params": [model[2].bias], "lr": 0.7})
    assert [group["lr"] for group in optimizer.base_optimizer.param_groups] == [0.5, 0.1, 0.7]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0, 0.2]
    x, y = batches(1)[0]
    before = model[2].bias.detach().clone()
    optimizer.step(closure_of(model, optimizer, x, y))
    assert not torch.equal(model[2].bias, before)


def test_weights_without_a_gradient_stay() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1))
    x, y = batches(1)[0]
    optimizer.step(closure_of(model, optimizer, x, y))
    assert torch.equal(model[0].weight, before)


def test_nothing_to_learn_from_is_no_error() -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimizer = SAM([weight], partial(torch.optim.SGD, lr=0.1))
    assert optimizer.step(lambda: None) is None
    assert float(optimizer.grad_norm) == 0
    optimizer.step(lambda: (weight * 0).sum().backward())  # type: ignore[no-untyped-call]  # a gradient of zero
    assert torch.equal(weight.detach(), torch.zeros(3))


def test_bfloat16_around_the_step_sees_the_moved_weights() -> None:
    x, y = batches(1)[0]
    results = []
    for around in (True, False):
        model = network().float()
        optimizer = SAM(model.parameters(), partial(torch.optim.SGD, lr=0.1), rho=0.5)

        def closure(model: nn.Module = model, optimizer: SAM = optimizer, inside: bool = not around) -> Tensor:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=inside) if inside else torch.enable_grad():
                loss = nn.functional.cross_entropy(model(x.float()), y)
            loss.backward()
            return loss

        with torch.autocast("cpu", torch.bfloat16, enabled=around):
            optimizer.step(closure)
            optimizer.step(closure)  # nor any that were moved the step before
        results.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results))


@pytest.mark.parametrize("rho", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_radius_is_refused(rho: float) -> None:
    with pytest.raises(ValueError, match=f"rho {rho} is not positive"):
        SAM(network().parameters(), torch.optim.SGD, rho=rho)


def test_a_step_without_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a closure"):
        SAM(network().parameters(), partial(torch.optim.SGD, lr=0.1)).step()


class Tracking(nn.Module):
    """As a module of ours with running statistics does it."""

    def __init__(self) -> None:
        super().__init__()
        self.track_running_stats = True
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += self.track_running_stats
        return x


def test_frozen_statistics_stand_still_and_move_again() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), Tracking(), nn.InstanceNorm1d(3, track_running_stats=True))
    x = torch.randn(4, 3, 5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with frozen_statistics(model):
        frozen = model(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[1].count == 0
    assert torch.equal(model(x), frozen)  # normalised by the batch either way
    assert model[0].num_batches_tracked == 1
    assert model[1].count == 1
    assert not torch.equal(model[0].running_mean, before["0.running_mean"])
    assert not torch.equal(model[2].running_mean, before["2.running_mean"])


def test_frozen_statistics_leave_evaluation_and_untracked_norms_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False))
    model(torch.randn(8, 3) * 5)
    model[0].eval()
    x = torch.randn(4, 3)
    with frozen_statistics(model):
        frozen = model[0](x)
    assert torch.equal(model[0](x), frozen)
    assert not model[1].track_running_stats
    norm = nn.InstanceNorm1d(3, track_running_stats=True).eval()
    with frozen_statistics(norm):
        frozen = norm(x[..., None].expand(4, 3, 2))
    assert torch.equal(norm(x[..., None].expand(4, 3, 2)), frozen)
    assert frozen.std() > 0  # by the running statistics, not the clip's own


def test_frozen_statistics_thaw_after_an_error_and_when_not_wanted() -> None:
    norm = nn.BatchNorm1d(3)
    with pytest.raises(RuntimeError), frozen_statistics(norm):
        raise RuntimeError
    assert norm.track_running_stats
    with frozen_statistics(norm, False):
        norm(torch.randn(4, 3))
    assert norm.num_batches_tracked == 1

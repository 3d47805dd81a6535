"""Learning rates against torch's schedulers and closed forms."""
import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.training.schedule import SCHEDULES, factor_at

TOTAL = 101


def rates(name: str, **options: float) -> list:
    return [factor_at(name, step, TOTAL, **options) for step in range(TOTAL)]


def of_torch(make) -> list:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(TOTAL):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name, make', [
    ('cosine', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, TOTAL - 1, 0.01)),
    ('exponential', lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / (TOTAL - 1)))),
    ('one_cycle', lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, 1.0, total_steps=TOTAL, cycle_momentum=False, final_div_factor=0.04 / 0.01)),
])
def test_as_torch_has_it(name, make):
    scheduler_rates = of_torch(lambda o: _run(make, o))
    assert rates(name) == pytest.approx(scheduler_rates, abs=1e-6)


def _run(make, optimizer):
    scheduler = make(optimizer)
    if isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR):  # raises at the step after the last
        step, calls = scheduler.step, []
        scheduler.step = lambda: (calls.append(1), step() if len(calls) < TOTAL else None)
    return scheduler


def test_inverse_time_and_step_by_hand():
    assert rates('inverse_time', final=0.1)[50] == pytest.approx(1 / (1 + 9 * 0.5))
    assert rates('inverse_time', final=0.1)[-1] == pytest.approx(0.1)
    steps = rates('step', final=0.01, drops=2)
    assert sorted({round(value, 6) for value in steps}, reverse=True) == [1.0, 0.1, 0.01]
    assert steps[-1] == pytest.approx(0.01) and steps[0] == 1


@pytest.mark.parametrize('name', [name for name in SCHEDULES if name != 'one_cycle'])
def test_warm_up_rises_to_the_peak(name):
    values = rates(name, warmup=10)
    assert values[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert values[10] == pytest.approx(1.0)


@pytest.mark.parametrize('name', SCHEDULES)
@pytest.mark.parametrize('total', [1, 2, 3])
def test_runs_of_few_steps(name, total):
    assert all(0 < factor_at(name, step, total) <= 1 for step in range(total))


def test_unknown_schedule_is_named():
    with pytest.raises(ConfigError, match="no schedule 'cosin'; there are constant"):
        factor_at('cosin', 0, 1)

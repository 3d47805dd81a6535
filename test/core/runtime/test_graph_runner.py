"""Batches through a GPU: slots, graphs, want of memory, and a GPU that fails. The boundary to the driver is a fake."""
import gc
from weakref import ref

import numpy as np
import pytest
import torch
from fake_gpu import LOST, OUT_OF_MEMORY, FakeGpu

from robot_vision_dl.core.errors import DeviceError
from robot_vision_dl.core.networks.cuda import CudaDriver, device_count
from robot_vision_dl.core.runtime.graph_runner import SLOTS, DeviceLost, GraphRunner

SHAPE = (4, 5, 3)
DRIVERS = ['fake', pytest.param('cuda', marks=pytest.mark.skipif(not device_count(), reason='no GPU'))]


def product(levels):
    """(B, 4, 5, 3) -> (B, 2): what depends on every level of its own picture alone."""
    flat = levels.to(torch.float32).flatten(1)
    return torch.stack([flat.sum(1), (flat * flat).mean(1)], dim=1)


def expected(batch):
    return product(batch).numpy()


def batch_of(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8))


@pytest.fixture(params=DRIVERS)
def driver(request):
    return FakeGpu() if request.param == 'fake' else CudaDriver(torch.device('cuda:0'))


def test_each_batch_size_gives_what_it_is_of(driver):
    runner = GraphRunner(product, driver, 4, SHAPE)
    for count in (1, 4, 2, 3, 1):
        np.testing.assert_allclose(runner.run(batch_of(count, count)), expected(batch_of(count, count)), rtol=1e-6)
    assert runner.has_graphs and not runner.notes and runner.width == 2


def test_graphs_are_recorded_from_the_largest_on_and_used():
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 4, SHAPE)
    assert driver.captured == [4, 3, 2, 1]
    driver.asked.clear()
    runner.run(batch_of(3))
    # one upload, one graph, one download, one wait, and nothing else
    assert driver.asked == {'copy': 2, 'replay': 1, 'wait': 1} and driver.replayed == [3]


def test_a_batch_larger_than_all_graphs_runs_launch_by_launch(driver):
    runner = GraphRunner(product, driver, 2, SHAPE)
    np.testing.assert_allclose(runner.run(batch_of(7)), expected(batch_of(7)), rtol=1e-6)
    np.testing.assert_allclose(runner.run(batch_of(2), graphs=False), expected(batch_of(2)), rtol=1e-6)
    if isinstance(driver, FakeGpu):
        assert not driver.replayed


def test_what_comes_back_is_not_overwritten_by_the_next_batch(driver):
    runner = GraphRunner(product, driver, 2, SHAPE)
    first = runner.run(batch_of(2, 1))
    runner.run(batch_of(2, 2))
    np.testing.assert_allclose(first, expected(batch_of(2, 1)), rtol=1e-6)


def test_a_batch_that_is_prepared_while_another_is_in_work_is_not_in_its_place(driver):
    runner = GraphRunner(product, driver, 2, SHAPE)
    one, other = runner.take(2), runner.take(1)
    assert one.data_ptr() != other.data_ptr() and runner.take(1) is None  # no more than two
    one.copy_(batch_of(2, 1))
    other.copy_(batch_of(1, 2))
    np.testing.assert_allclose(runner.run(one), expected(batch_of(2, 1)), rtol=1e-6)
    third = runner.take(2)  # the place of the first, which is done
    assert third.data_ptr() == one.data_ptr()
    third.copy_(batch_of(2, 3))
    np.testing.assert_allclose(runner.run(other), expected(batch_of(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(runner.run(third), expected(batch_of(2, 3)), rtol=1e-6)


def test_a_place_that_nobody_has_any_more_is_free():
    runner = GraphRunner(product, FakeGpu(), 2, SHAPE)
    taken = [runner.take(1) for _ in range(SLOTS)]
    assert runner.take(1) is None and runner.take(3) is None
    del taken  # batches that were prepared and never run
    gc.collect()
    assert runner.take(1) is not None


def test_a_batch_of_other_memory_is_run_all_the_same():
    runner = GraphRunner(product, FakeGpu(), 2, SHAPE)
    held = [runner.take(2) for _ in range(SLOTS)]
    np.testing.assert_allclose(runner.run(batch_of(2)), expected(batch_of(2)), rtol=1e-6)
    assert len(held) == SLOTS


def test_too_little_memory_for_large_batches_leaves_smaller_ones():
    driver = FakeGpu()
    driver.least_for_memory = 3
    runner = GraphRunner(product, driver, 8, SHAPE)
    assert runner.most == 2
    assert len(runner.notes) == 1 and 'those of up to 2' in runner.notes[0] and 'max_batch' in runner.notes[0]
    np.testing.assert_allclose(runner.run(batch_of(5)), expected(batch_of(5)), rtol=1e-6)


@pytest.mark.parametrize('where', ['warm', 'capture', 'replay'])
def test_what_is_given_back_is_held_by_nobody(where):
    """The error of a pass holds on to the frames that it came through, and these to the maps of the pass."""
    maps, alive = [], []

    class Tight(FakeGpu):
        def free(self):
            super().free()
            alive.append([one for one in maps if one() is not None])

    def heavy(levels):
        here = levels.to(torch.float32) * 2
        maps.append(ref(here))
        if short and short.pop():
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB')
        return product(levels)
    driver = Tight()
    # Passes so far: one to see how wide the result is, then one to warm and one to record for each size.
    short = {'warm': [False, True], 'capture': [False] * 5 + [True], 'replay': []}[where][::-1]
    runner = GraphRunner(heavy, driver, 4, SHAPE)
    assert runner.most == (4 if where == 'replay' else 2)
    if where == 'replay':
        short.append(True)
        np.testing.assert_allclose(runner.run(batch_of(3)), expected(batch_of(3)), rtol=1e-6)
    assert len(maps) > 2 and len(alive) > 2 and not any(alive)


def test_all_sizes_are_warm_before_any_is_recorded():
    order = []

    class Noted(FakeGpu):
        def _ask(self, what, function=None):
            order.append(what)
            super()._ask(what, function)
    GraphRunner(product, Noted(), 2, SHAPE)
    assert [what for what in order if what in ('warm', 'free', 'capture')] == [
        'warm', 'warm', 'free', 'capture', 'capture', 'free']


def test_too_little_memory_for_one_frame_is_an_error_with_a_remedy():
    driver = FakeGpu()
    driver.least_for_memory = 1
    with pytest.raises(DeviceError, match=r'memory for a batch of 1; `nvidia-smi`.*set device to cpu'):
        GraphRunner(product, driver, 4, SHAPE)


def test_out_of_memory_is_tried_again_with_half_of_the_batch():
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 4, SHAPE)
    driver.asked.clear()
    driver.failures = {'replay': [OUT_OF_MEMORY]}
    np.testing.assert_allclose(runner.run(batch_of(3)), expected(batch_of(3)), rtol=1e-6)
    assert driver.asked['free'] == 1 and driver.replayed == [3, 2, 1]
    driver.failures = {'replay': [OUT_OF_MEMORY, None, OUT_OF_MEMORY]}
    with pytest.raises(DeviceError, match='not enough memory for a batch of 2'):
        runner.run(batch_of(3))
    np.testing.assert_allclose(runner.run(batch_of(3)), expected(batch_of(3)), rtol=1e-6)  # and it goes on


def test_the_place_of_a_batch_that_failed_is_free_again():
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 4, SHAPE)
    driver.failures = {'replay': [OUT_OF_MEMORY, OUT_OF_MEMORY] * SLOTS}
    for _ in range(SLOTS):
        taken = runner.take(2)
        with pytest.raises(DeviceError):
            runner.run(taken)
    assert runner.take(2) is not None


@pytest.mark.parametrize('where', ['copy', 'replay', 'wait'])
def test_a_gpu_that_fails_says_so(where):
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 2, SHAPE)
    driver.failures = {where: [LOST]}
    with pytest.raises(DeviceLost, match=r'illegal memory access was encountered\).*nvidia-smi.*start the node again'):
        runner.run(batch_of(1))


def test_a_gpu_that_fails_while_graphs_are_recorded_says_so():
    driver = FakeGpu()
    driver.failures = {'capture': [LOST]}
    with pytest.raises(DeviceLost):
        GraphRunner(product, driver, 2, SHAPE)


def test_a_network_that_no_graph_can_hold_runs_launch_by_launch():
    driver = FakeGpu()
    driver.failures = {'capture': [None, RuntimeError('CUDA error: operation not permitted when stream is capturing')]}
    runner = GraphRunner(product, driver, 3, SHAPE)
    assert not runner.has_graphs and 'operation not permitted' in runner.notes[0]
    np.testing.assert_allclose(runner.run(batch_of(3)), expected(batch_of(3)), rtol=1e-6)


def test_other_errors_are_what_they_are():
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 2, SHAPE)
    driver.failures = {'replay': [RuntimeError('The size of tensor a (3) must match')]}
    with pytest.raises(RuntimeError, match='must match'):
        runner.run(batch_of(1))


def test_all_sizes_are_warmed():
    driver = FakeGpu()
    runner = GraphRunner(product, driver, 3, SHAPE)
    runner.warm_up()
    assert driver.replayed == [3, 2, 1]


@pytest.mark.skipif(not device_count(), reason='no GPU')
def test_nothing_waits_but_the_wait():
    runner = GraphRunner(product, CudaDriver(torch.device('cuda:0')), 2, SHAPE)
    torch.cuda.set_sync_debug_mode('error')
    try:
        runner.run(runner.take(2))
    finally:
        torch.cuda.set_sync_debug_mode('default')

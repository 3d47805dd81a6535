"""``robot-vision bench train``: what a training step costs beside the network, and how long it waits for pictures."""
import argparse
import contextlib
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np

from ..core.resources import share_directory
from ..core.text.number_options import whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    import torch

    from ..data.dataset import FrameDataset
    from ..training.config import TrainConfig
    from ..training.training_data import TrainingData

# All frames of the demo bag, which is too short to be divided by four.
DEMO = ('data.selection.every_s=0', 'data.selection.duplicate_distance=-1', 'data.split.train=0.8',
        'data.split.calibration=0.2', 'data.split.early_stop=0', 'data.split.test=0')
STEPS = 40  # of an epoch, at least
HELP = 'training, beside a bare loop of torch over the same pictures in memory'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which training."""
    parser.add_argument('config', nargs='?', metavar='CONFIG', help='as for `robot-vision train`; default: the network '
                        'and the settings of the shipped waste sorter, on the demo bag')
    parser.add_argument('--bags', nargs='+', metavar='BAG', default=[], help='instead of data.bags of the file')
    parser.add_argument('--set', nargs='+', metavar='NAME=VALUE', default=[], dest='changes',
                        help='settings instead of those of the file, e.g. run.workers=2')
    parser.add_argument('--turns', type=whole(1, 10**7), default=5,
                        help='each way so often, in turn (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args.config, args.bags, args.changes, args.turns)
    ours, bare = figures['pictures_per_s'], figures['bare_pictures_per_s']
    print(f'{figures["architecture"]}, {figures["pictures"]} pictures, batches of {figures["batch_size"]}, '
          f'{figures["threads"]} thread(s), {figures["workers"]} worker(s); augmentation '
          f'{"on" if figures["augmented"] else "off"}; medians of {args.turns} turns, both ways in each\n')
    print(ruled(('way', 'pictures/s', 'of the bare loop', 'waiting for pictures'), [
        ('bare loop of torch, pictures in memory', bare, 1.0, '0 %'),
        ('robot-vision train', ours, figures['ratio'], f'{100 * figures["waiting_share"]:.1f} %')]))
    conclude(figures, args.json, '\n')
    return 0


def measure(config_file: Optional[str], bags: List[str], changes: List[str], turns: int) -> Dict[str, Any]:
    """Train for some epochs each way, in turn; figures ready for JSON."""
    import torch

    from ..core.networks.allocator import keep_freed_memory
    from ..data.augmentation.augment import TrainTransform
    from ..data.dataset import EvalTransform, FrameDataset
    from ..data.division import Part
    from ..training.config_file import load_config
    from ..training.trainable_layers import extent_of, with_extent
    from ..training.training_data import prepare_data
    keep_freed_memory()  # as training does; for both
    folder = Path(tempfile.mkdtemp(prefix='robot_vision_bench_'))
    path = Path(config_file) if config_file else share_directory() / 'config' / 'train.yaml'
    if not config_file and not bags:
        bags = [str(share_directory() / 'config' / 'demo' / 'waste')]
        changes = [*DEMO, *changes]
    if bags:
        changes = [*changes, f'data.bags={json.dumps(bags)}']
    try:
        config = load_config(path, changes)
        config = replace(config, data=replace(config.data, cache=replace(config.data.cache, folder=str(folder / 'c'))))
        with contextlib.redirect_stdout(None):
            data = prepare_data(config, folder, None, lambda text: None)
        config = with_extent(config, extent_of(config.network, data))
        changed = TrainTransform(config.augment, data.preprocessing) if config.augment.enabled else \
            EvalTransform(data.preprocessing)
        # A small recording several times over: the start of an epoch must not be what is measured.
        own = data.indices[Part.TRAIN]
        indices = np.tile(own, max(1, -(-STEPS * config.run.batch_size // len(own))))
        dataset = FrameDataset(data.store, indices, data.class_names, changed, config.run.seed)
        plain = FrameDataset(data.store, indices, data.class_names, EvalTransform(data.preprocessing))
        items = [plain[place] for place in range(len(plain))]
        pictures = torch.stack([item.picture for item in items])
        targets = torch.tensor([item.target for item in items])
        ours, bare, waiting = [], [], []
        for turn in range(turns):
            bare.append(_bare_loop(config, data, pictures, targets))
            rate, share = _our_loop(config, data, dataset, folder / str(turn))
            ours.append(rate)
            waiting.append(share)
        return {'architecture': config.network.architecture, 'pictures': len(dataset),
                'batch_size': min(config.run.batch_size, len(dataset)), 'threads': torch.get_num_threads(),
                'workers': config.run.workers, 'augmented': config.augment.enabled, 'turns': turns,
                'pictures_per_s': median(ours), 'bare_pictures_per_s': median(bare), 'waiting_share': median(waiting),
                'ratio': median(one / other for one, other in zip(ours, bare)),
                'all_pictures_per_s': ours, 'all_bare_pictures_per_s': bare}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bare_loop(config: 'TrainConfig', data: 'TrainingData', pictures: 'torch.Tensor', targets: 'torch.Tensor'
               ) -> float:
    """Pictures a second of what everybody writes first: forward, loss, backward, step; after one epoch to warm up."""
    import torch

    from ..core.networks.device import resolve_device
    from ..training.freeze import set_trained
    from ..training.initial_weights import starting_network
    from ..training.optimise import build_optimizer
    torch.manual_seed(config.run.seed)
    device = resolve_device(config.run.device)
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    layout = torch.channels_last if config.run.channels_last else torch.contiguous_format
    network = starting_network(config.network, data.class_names, config.input.channels).network.to(
        device).to(memory_format=layout)
    set_trained(network, config.network.train_from, False, config.network.batch_norm == 'frozen')
    optimizer = build_optimizer(network, config.optimizer)
    pictures, targets = pictures.to(device, memory_format=layout), targets.to(device)
    size = min(config.run.batch_size, len(pictures))
    batches = np.random.default_rng(0).permutation(len(pictures))[:len(pictures) // size * size].reshape(-1, size)
    for _ in range(2):
        began = time.perf_counter()
        for batch in batches:
            loss = torch.nn.functional.cross_entropy(network(pictures[batch]).logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return batches.size / seconds


def _our_loop(config: 'TrainConfig', data: 'TrainingData', dataset: 'FrameDataset', folder: Path
              ) -> Tuple[float, float]:
    """Pictures a second of the second of two epochs, and the share of its time that the network waited."""
    import torch

    from ..training.fit import fit
    from ..training.initial_weights import starting_network
    torch.manual_seed(config.run.seed)
    folder.mkdir()
    network = starting_network(config.network, data.class_names, config.input.channels).network
    short = replace(config, run=replace(config.run, epochs=2, patience=0),
                    network=replace(config.network, head_epochs=min(config.network.head_epochs, 1)),
                    schedule=replace(config.schedule, warmup_epochs=min(config.schedule.warmup_epochs, 1)))
    ends: Dict[int, List[float]] = {0: [], 1: []}
    history = fit(network, short, dataset, None, folder, 'bench',
                  on_step=lambda epoch, step, steps: ends[epoch].append(time.perf_counter()))
    size = min(config.run.batch_size, len(dataset))
    # From the last step of the first epoch: with writing its checkpoint, and with the start of the second.
    return len(ends[1]) * size / (ends[1][-1] - ends[0][-1]), history[1].waiting_s / history[1].seconds

"""What a round of improvement would do, known before hours are spent: data, classes, frozen recordings, settings."""
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_search import find_bundle
from ..core.config import ClassifierConfig
from ..core.errors import BagError, BundleError, ConfigError
from ..core.files.user_path import user_path
from ..core.suggestions import did_you_mean
from ..core.text.printable import printable
from ..core.text.text_file import read_text
from ..core.types import UNKNOWN
from ..data.cache import cache_key
from ..data.folders import shown
from ..data.frame_sources import Source, open_sources
from ..data.frozen import without_frozen
from ..data.labels.labels import IGNORE, alike
from ..data.prepare import DataConfig
from ..data.recording_paths import expand
from ..evaluation.no_worse import FIGURES, LEAST_RECORDINGS
from ..evaluation.options import EvaluationOptions
from ..evaluation.recordings import Recording, open_recordings
from ..evaluation.undecided import describe_reach
from ..training.config import TrainConfig
from ..training.config_file import as_file, parse_config
from ..training.config_paths import anywhere
from .beforehand import describe_learned, learned_before, scarce_classes

SETTINGS = 'card/settings.yaml'
NOTHING = 'none'
"""As old data: none, on purpose."""
DEFAULT_WORK = 'runs/improve'


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    Attributes:
        data: bags and folders of pictures with labels to learn from that the installed model has not seen.
        model: folder or name of the installed bundle.
        frozen: recordings to compare old and new on.
        old_data: what the installed model learned from; empty: what its settings say; (:data:`NOTHING`,): none.
        config: text of a training file instead of the settings that the installed bundle was trained with.
        changes: settings of the training, ``run.epochs=3``.
        margins: by figure, by how much the new model may be worse.
        allow_undecided: where recordings are too few for an interval, the values decide.
        labelled_by: names of people and how many labels of theirs stand.
        deployment: settings of the node that old and new are judged under.
        label_map: labels of the frozen recordings -> classes.
        work: folder of rounds.
    """

    data: Tuple[str, ...]
    model: str
    frozen: Tuple[str, ...]
    old_data: Tuple[str, ...] = ()
    config: Optional[str] = None
    changes: Tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=lambda: {name: one.margin for name, one in FIGURES.items()})
    allow_undecided: bool = False
    labelled_by: Mapping[str, int] = field(default_factory=dict)
    deployment: ClassifierConfig = field(default_factory=ClassifierConfig)
    label_map: Mapping[str, str] = field(default_factory=dict)
    work: str = DEFAULT_WORK


@dataclass(frozen=True)
class Plan:
    """A round that can be carried out.

    Attributes:
        wish: what was asked for.
        installed: folder of the bundle to be improved.
        old: that bundle.
        config: of the training.
        round: digest of what was asked for: new data, frozen recordings, settings.
        folder: of the round, where what is done is kept; the same model and inputs give the same one.
        new_classes: labels of the data that the old model has no class for.
        frames: by recording to learn from, about how many frames have a label.
        left_out: recordings that are frozen and not learned from.
        recordings: frozen ones, opened.
        options: how they are judged.
        undecidable: by figure, why its gate cannot be decided.
        counts: by figure, frozen recordings that its gate rests on.
        scarce: sentences about classes that there is little of.
        learned: sentences about frozen recordings that the installed model has seen.
    """

    wish: Wish
    installed: Path
    old: Bundle
    config: TrainConfig
    round: str
    folder: Path
    new_classes: Tuple[str, ...]
    frames: Mapping[str, int]
    left_out: Tuple[str, ...]
    recordings: List[Recording]
    options: EvaluationOptions
    undecidable: Mapping[str, str]
    counts: Mapping[str, int]
    scarce: Tuple[str, ...]
    learned: Tuple[str, ...]

    def describe(self) -> List[str]:
        """Lines for people."""
        names = list(self.frames)
        wish = self.wish
        lines = [
            f'installed   {self.old.name} {self.old.identity}, {len(self.old.class_names)} classes: '
            f'{shown(self.installed)}',
            f'learn from  about {sum(self.frames.values())} labelled frames of {len(names)} recordings: '
            f'{printable(", ".join(names[:8]), 300)}{f" and {len(names) - 8} more" if len(names) > 8 else ""}']
        if self.left_out:
            lines.append(f'            not from {printable(", ".join(self.left_out), 300)}: frozen')
        if self.new_classes:
            lines.append(f'new classes {printable(", ".join(self.new_classes), 300)}: the head is trained anew; on '
                         'their frames the old model is right where it says unknown')
        lines += [f'scarce      {sentence}' for sentence in self.scarce]
        lines.append(f'compare on  {len(self.recordings)} frozen recordings: '
                     f'{printable(", ".join(one.name for one in self.recordings[:8]), 300)}')
        lines += [f'            {sentence}' for sentence in self.learned]
        lines += [f'gate        {name}: {FIGURES[name].words}; worse by at most {margin:g}'
                  + (f'; {self.undecidable[name]}' if name in self.undecidable else '')
                  for name, margin in wish.margins.items()]
        for number, line in enumerate(describe_reach(wish.margins, self.counts)):
            lines.append(f'{"" if number else "can tell":<12}{line}')
        lines.append(f'work        {shown(self.folder)}')
        return lines


def plan(wish: Wish) -> Plan:
    """Read what is there and see what can be known beforehand.

    Raises:
        BundleError: the installed model cannot be trained further.
        ConfigError, BagError: data, labels, frozen recordings or settings cannot be used; the text says why.
    """
    installed, old = _installed(wish.model)
    config = _settings(wish, old)
    sources = open_sources(config.data.bags, config.data.labels, config.data.image_topics)
    kept, left_out = without_frozen(sources, config.data.frozen)
    config = replace(config, data=_without_names(config.data, left_out))
    found = _labels(kept, config.data.labels.ignore)
    if not config.data.class_names:
        fresh = sorted(found - set(old.class_names))
        for before, name in alike((*old.class_names, *fresh)):
            if name in fresh:
                raise ConfigError(f'the labels {printable(before, 60)!r} and {printable(name, 60)!r} differ in case or '
                                  'spelling of the same letters only, and would be two classes; name them alike, or '
                                  'give all classes by --set data.class_names=[...] if both are meant')
        config = replace(config, data=replace(config.data, class_names=(*old.class_names, *fresh)))
    missing = [name for name in config.data.class_names if name not in found]
    if missing:
        raise ConfigError(
            f'no frame to learn from is labelled {printable(", ".join(missing), 200)}, so that the new model would not '
            f'know that any more (labels there: {printable(", ".join(sorted(found)), 200) or "none"}); give data that '
            'shows it (--old-data takes what the installed model learned from), or leave it out by --set '
            'data.class_names=[...]')
    options = EvaluationOptions(wish.deployment, config.data.labels, config.data.image_topics, dict(wish.label_map),
                                absent_is_unknown=True)
    recordings = open_recordings(wish.frozen, options)
    counts = _counts(recordings, wish, old.class_names, config.data.class_names)
    frozen_files = [file for one in recordings for file in (*one.files.files, *(
        each.path for each in one.pictures), *(Path(name) for name in one.label_sources if Path(name).is_file()))]
    given = {path.resolve() for path in expand(wish.data)}
    own = [source for source in sources if not given.isdisjoint({source.path.resolve(),
                                                                 *source.path.resolve().parents})]
    old_data = [source for source in sources if source not in own]
    asked = cache_key(_files(own) + frozen_files, [wish.config, wish.changes, wish.old_data])
    bare = replace(config, data=replace(config.data, bags=(), frozen=()))  # which are told by their files
    digest = cache_key(_files(sources) + frozen_files, [asked, old.identity, as_file(bare)])
    folder = Path(wish.work) / f'{config.name}-{digest}'
    output = replace(config.output, models=str(folder / 'models'), runs=str(folder / 'runs'))
    return Plan(wish, installed, old, replace(config, output=output), asked, folder,
                tuple(name for name in config.data.class_names if name not in old.class_names),
                {source.recording: round(sum(source.expected.values())) for source in kept}, tuple(left_out),
                recordings, options, _undecidable(counts), counts,
                tuple(scarce_classes(kept, config.data.class_names, config.data.split.calibration)),
                tuple(describe_learned(*learned_before(old, recordings, old_data))))


def _installed(model: str) -> Tuple[Path, Bundle]:
    old = load_bundle(model)
    if old.folder is None or old.members:
        raise BundleError(f'{model}: is no folder of a bundle, so that nothing can be installed in its place; give the '
                          'folder of one that was trained (robot-vision train)')
    if old.graph is not None:
        raise BundleError(f'{model}: is a file ({old.architecture.name}), which runs but cannot be trained further; '
                          'improve the bundle that it was made of, and make it anew of that')
    return find_bundle(model).absolute(), old


def _settings(wish: Wish, old: Bundle) -> TrainConfig:
    """Those of the installed model's own training, unless a file is given; names of files mean the same everywhere."""
    assert old.folder is not None
    text, where = wish.config, 'the settings'
    if text is None:
        place = old.folder / SETTINGS
        if place.is_file():
            text, where = read_text(place), shown(place)
    # How long it takes may be changed at once: settings of before may have a warm-up that is refused now.
    config = parse_config(text or '{}', where, [one for one in wish.changes if one.startswith(('run.', 'schedule.'))])
    known, network = config.data, config.network
    old_bags = known.bags if not wish.old_data else () if wish.old_data == (NOTHING,) else wish.old_data
    if wish.old_data:  # what their settings name for a part of the split is of other data
        known = replace(known, early_stop=(), calibration=(), test=())
    for name in old_bags:
        try:
            is_there = all(path.exists() for path in expand([name]))
        except BagError:
            is_there = False
        if not is_there:
            raise ConfigError(
                f'{printable(name)}: what the installed model learned from is not there; say where it lies now with '
                f'--old-data, or --old-data {NOTHING} to learn from the new data alone, which forgets much')
    # A network that was trained as a whole is, again; one that keeps what pretraining knows keeps it.
    extent = network.train_from if network.pretrained else 'all'
    trained = replace(
        config, name=re.sub(r'[^\w-]', '_', old.name, flags=re.ASCII) or 'model',
        data=replace(known, bags=(*old_bags, *wish.data), frozen=tuple(dict.fromkeys((*known.frozen, *wish.frozen))),
                     class_names=()),
        network=replace(network, architecture=old.architecture.name, train_from=extent,
                        pretrained=str(old.folder.absolute())),
        input=replace(config.input, resize=-1, crop=-1, channels=old.preprocessing.channels, normalise='weights'))
    changed = parse_config(as_file(trained), 'the settings', wish.changes)
    return anywhere(changed)


def _without_names(data: DataConfig, left_out: Sequence[str]) -> DataConfig:
    """Without what names frozen recordings for a part of the split."""
    frozen = {path.resolve() for path in expand(data.frozen)}

    def is_frozen(entry: str) -> bool:
        place = Path(user_path(entry)).resolve()
        return entry in left_out or place in frozen or not frozen.isdisjoint(place.parents)
    early_stop, calibration, test = (tuple(entry for entry in entries if not is_frozen(entry))
                                     for entries in (data.early_stop, data.calibration, data.test))
    return replace(data, early_stop=early_stop, calibration=calibration, test=test)


def _files(sources: Sequence[Source]) -> List[Path]:
    return [file for source in sources for file in source.files]


def _labels(sources: Sequence[Source], ignore: Sequence[str]) -> Set[str]:
    """Names of classes that frames to learn from have."""
    return {label for source in sources for label, frames in source.expected.items()
            if frames > 0} - {UNKNOWN, IGNORE, *ignore}


def _counts(recordings: Sequence[Recording], wish: Wish, old: Sequence[str], new: Sequence[str]) -> Dict[str, int]:
    """How many frozen recordings each gate rests on, by figure, as far as labels alone tell.

    Raises:
        ConfigError: a label of the frozen recordings is a class of neither model.
    """
    counts: Counter[str] = Counter()
    known, both = {*old, *new}, set(old) & set(new)
    for recording in recordings:
        ignored = {IGNORE, *recording.ignore}
        labels = {wish.label_map.get(one.label, one.label)
                  for one in (recording.labels.intervals if recording.labels else ())} - ignored
        strange = sorted(labels - known - {UNKNOWN})
        if strange:
            raise ConfigError(
                f'{recording.name}: the frozen label {printable(strange[0])!r} is a class of neither the installed '
                f'model nor the data to learn from; {did_you_mean(strange[0], sorted(known))} Use --map '
                f'"{strange[0]}=CLASS" to translate it, or {strange[0]}=unknown if it is none of the classes')
        counts.update(labels)
        counts['labelled'] += bool(labels)
        counts['of the classes of both'] += bool(labels & both)
    counts['labelled unknown'] = counts[UNKNOWN]
    scarce = min((counts[name] for name in both if counts[name]), default=0)
    return {name: scarce if name == 'worst_recall' else counts[FIGURES[name].of] for name in wish.margins}


def _undecidable(counts: Mapping[str, int]) -> Dict[str, str]:
    """Why gates cannot be decided, by figure."""
    found = {}
    for name, count in counts.items():
        if count < LEAST_RECORDINGS:
            what = 'of the class that fewest have' if name == 'worst_recall' else FIGURES[name].of
            found[name] = (f'{count} frozen recordings have frames {what}, and {LEAST_RECORDINGS} at least are needed '
                           'to tell')
    return found

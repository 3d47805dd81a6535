"""A bundle and labelled data -> everything that can be fitted to them: the same for all commands that calibrate."""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.bundles.score_origin import keeps_score
from ..core.decision.fusion_fit import LEAST_FRAMES, Stream, keep_fusion
from ..core.errors import BundleError, RobotVisionError
from ..core.networks.stages import usual_stages
from ..core.text.notes import to_stderr
from ..core.uncertainty.calibrate import AUTO, NO_SCORE, Calibration, FittedBefore, calibrate
from ..core.uncertainty.fusion_times import FusionTimes
from ..core.uncertainty.ood.base import linear_head
from ..core.uncertainty.ood.combined import LEAST_REFERENCE
from ..core.uncertainty.ood.part import COMBINED
from ..core.uncertainty.ood.pictures import Pictures
from ..core.uncertainty.scaling import ScalingBefore
from ..data.learned_pictures import LearnedPictures, learned_pictures
from .camera_fit import fit_camera, fitted_or_before, joined
from .labelled_outputs import LabelledOutputs
from .predict import check_deployment, faulty_outputs, picture_outputs, run_bundle

MOST_CORRUPTED = 1000
"""Pictures of which a corrupted version is run, for :mod:`~..core.uncertainty.density_aware`."""


@dataclass(frozen=True)
class CalibrationOptions:
    """What a calibration is fitted with, and how.

    Attributes:
        reference: labelled data that the network was trained on; empty: a score that was fitted to others is kept, and
            for what else is fitted half of the data takes its place.
        apart: labelled data that it was not trained on and that is not among the others, to standardise the parts of
            a combined score; empty: that is done by cross-fitting.
        ood_pictures: folders of pictures of no class; each is a group.
        device, precision: where and at which arithmetic it will run.
        ood: name of a score, as :func:`~..core.uncertainty.calibrate.calibrate` has it, or ``none``.
        conformal: kind of the sets; alpha: their error rate.
        scaling: ``temperature``, ``vector`` or ``auto``.
        topics: image topics of bags; empty: each camera once.
        every_s: frames of a camera no closer than this.
        pictures: folder that the files of lists are relative to; None: that of each list.
        seed: of the splits into halves.
    """

    reference: Sequence[str] = ()
    apart: Sequence[str] = ()
    ood_pictures: Sequence[str] = ()
    device: str = 'auto'
    precision: str = 'float32'
    ood: str = AUTO
    conformal: str = 'lac'
    alpha: float = 0.1
    scaling: str = AUTO
    topics: Sequence[str] = ()
    every_s: float = 0.2
    pictures: Optional[str] = None
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """What was fitted, and to which pictures.

    Attributes:
        calibration: all of it.
        learned: those that the model has learned from, before and now.
    """

    calibration: Calibration
    learned: LearnedPictures


def calibrate_bundle(bundle: Bundle, data: Sequence[str], options: CalibrationOptions
                     ) -> Tuple[LabelledOutputs, Fitted]:
    """Run the network over labelled data that it was not trained on, and fit.

    Pictures that occur more than once count once; frames labelled ``unknown`` help to choose the OOD score. From
    recordings the time constants of the fusion are fitted as well.

    Args:
        data: bags, folders of pictures, lists of pictures.

    Returns:
        What the network says, and what was fitted to it.

    Raises:
        RobotVisionError: the data cannot be read, are too few, or the device is not here.
    """
    outputs, copies = _outputs_of(bundle, data, options, MOST_CORRUPTED, not options.reference).each_once()
    fits_anew = bool(options.reference) or options.ood != AUTO
    before = fitted_before(bundle) if fits_anew else fitted_before(
        bundle, outputs.known_pictures(), outputs.fingerprints[outputs.known])
    fitted, lost = fit_bundle(bundle, outputs, options, copies, before), ''
    if not fits_anew and bundle.ood is not None and bundle.ood.stage_names != bundle.architecture.stages:
        lost = ('the score of unknown things that it had reads other stages of the network; another one is fitted to '
                'half of these pictures, which knows less: give --reference, or leave --stages out')
    notes = (*fitted.calibration.notes, *filter(None, [lost]))
    return outputs, replace(fitted, calibration=replace(fitted.calibration, notes=notes))


def fitted_before(bundle: Bundle, pictures: Optional[Pictures] = None, prints: Optional[np.ndarray] = None
                  ) -> FittedBefore:
    """What a bundle has already, of which a calibration on pictures may keep something.

    Args:
        pictures: of known classes, without copies; None: another score is fitted, whatever these are.
        prints: their fingerprints, uint64 (n, 4), by which those of a calibration before are recognised; None: none is.
    """
    scaling = None if bundle.temperature is None else ScalingBefore(bundle.temperature, bundle.vector)
    if pictures is None or not keeps_score(bundle, len(pictures), pictures):
        return FittedBefore(scaling=scaling)
    learned = learned_pictures(bundle)
    again = None if learned is None or prints is None else learned.recognise(prints).calibrated_on
    return FittedBefore(bundle.ood, bundle.density_aware, scaling, again)


def fit_bundle(bundle: Bundle, outputs: LabelledOutputs, options: CalibrationOptions, copies: str = '',
               before: Optional[FittedBefore] = None) -> Fitted:
    """As :func:`calibrate_bundle`, to what the network says of pictures, each of which is there once.

    Args:
        copies: a sentence about those that were left out.
        before: what it has already, see :func:`~..core.uncertainty.calibrate.calibrate`.
    """
    device, precision = check_deployment(options.device, options.precision, bundle)
    learned = learned_pictures(bundle) or LearnedPictures.of()
    where = {'device': options.device, 'precision': precision}
    reference: Optional[Pictures] = None
    camera_seen, repeats_s, camera_groups = None, outputs.repeats_s, outputs.groups[outputs.known]
    of_stages, all_groups = outputs.of_stages(), camera_groups
    if options.reference:
        seen, of_reference = _outputs_of(bundle, options.reference, options, spoilt=True).each_once()
        copies = '; '.join(filter(None, [copies, of_reference and f'--reference: {of_reference}']))
        reference, learned = seen.known_pictures(), learned | LearnedPictures.of(trained_on=seen.all_fingerprints)
        camera_seen, repeats_s = seen.camera[seen.known], max(repeats_s, seen.repeats_s)
        camera_groups = seen.groups[seen.known]
        of_stages = joined(seen.of_stages(), [one[outputs.known] for one in outputs.stages])
        all_groups = np.concatenate([camera_groups, camera_groups.max(initial=0) + 1 + all_groups])
    standard: Optional[Pictures] = None
    known_too_well = of_trained_on(learned, outputs.fingerprints)
    if options.apart:
        of_apart = _outputs_of(bundle, options.apart, options).each_once()[0]
        taken = LearnedPictures.of(learned.trained_on, outputs.fingerprints).recognise(of_apart.fingerprints)
        standard = of_apart.known_pictures()[~taken.either[of_apart.known]]
        of_taken = f'{taken.words()}, and are left out' if taken.either.any() else ''
        if len(standard) < LEAST_REFERENCE:
            raise RobotVisionError(f'--apart: {len(standard)} pictures of known classes are fewer than '
                                   f'{LEAST_REFERENCE}{of_taken and "; " + of_taken}; give others, or leave it out')
        copies = '; '.join(filter(None, [copies, of_taken and f'--apart: {of_taken}']))
        learned |= LearnedPictures.of(calibrated_on=of_apart.all_fingerprints)
    for note in filter(None, [known_too_well, copies]):
        to_stderr(note)  # before what may be refused for having too few
    ood_pictures: Dict[str, Pictures] = {
        Path(folder).name: picture_outputs(bundle, folder, **where).pictures() for folder in options.ood_pictures}
    strange = np.setdiff1d(np.arange(len(outputs.labels)), outputs.known)
    if len(strange) > 1:
        ood_pictures['unknown'] = Pictures.of(outputs.logits[strange], outputs.features[strange],
                                              stages=tuple(one[strange] for one in outputs.stages))
    known = outputs.known
    found = calibrate(
        outputs.logits[known], outputs.features[known], outputs.labels[known],
        stages=tuple(one[known] for one in outputs.stages), stage_names=bundle.architecture.stages,
        groups=outputs.groups[known], ood=None if options.ood == NO_SCORE else options.ood, alpha=options.alpha,
        seed=options.seed, reference=reference, standard=standard, head=linear_head(bundle.load_single_network().head),
        ood_pictures=ood_pictures or None, conformal=options.conformal, scaling=options.scaling,
        corrupted=outputs.corrupted,
        before=before, objects=None if outputs.things is None else outputs.things[known],
        faulty={name: one.pictures() for name, one in faulty_outputs(bundle, **where).items()})
    camera, of_camera = fit_camera(camera_seen, outputs.camera[known], repeats_s, len(np.unique(camera_groups)),
                                   of_stages, all_groups)
    counted = {name: min(value, len(known)) if name == 'objects' else value  # copies are left out
               for name, value in outputs.objects.items()}
    found = replace(found, metrics={**found.metrics, **counted})
    streams = outputs.streams(found.probabilities(outputs.logits, outputs.features, outputs.stages))
    camera, of_camera = fitted_or_before(
        camera, of_camera, bundle.camera, outputs.camera[known], tuple(one[known] for one in outputs.stages))
    fusion, of_fusion = _fusion(streams, bundle.fusion)
    notes = (*filter(None, [known_too_well]), *found.notes, *filter(None, [copies, of_camera, of_fusion]))
    return Fitted(replace(found, device=device, precision=precision, fusion=fusion, notes=notes,
                          camera=camera), learned | LearnedPictures.of(calibrated_on=outputs.all_fingerprints))


def _fusion(streams: Sequence[Stream], before: Optional[FusionTimes]) -> Tuple[Optional[FusionTimes], str]:
    """The times of the fusion for recordings, and a note; empty: there is nothing to say.

    Args:
        before: of the bundle: they stay where too few frames of recordings say anything else.
    """
    if sum(len(stream.labels) for stream in streams if len(stream.labels) > 1) >= LEAST_FRAMES:
        kept = keep_fusion(streams)
        return kept.times, kept.note
    if before is not None:
        return before, ('the times of the fusion stay as they were: they were fitted to other data, and '
                        f'{LEAST_FRAMES} labelled frames of recordings are needed for others')
    return None, '' if not streams else (f'the general times of the fusion stay: {LEAST_FRAMES} labelled frames of '
                                         'recordings are needed for times of their own')


def _outputs_of(bundle: Bundle, data: Sequence[str], options: CalibrationOptions, corrupted: int = 0,
                spoilt: bool = False) -> LabelledOutputs:
    return run_bundle(bundle, data, device=options.device, precision=options.precision, every_s=options.every_s,
                      topics=options.topics, pictures=options.pictures, corrupted=corrupted, spoilt=spoilt,
                      seed=options.seed)


def of_trained_on(learned: LearnedPictures, prints: np.ndarray) -> str:
    """About pictures to calibrate on that the network was trained on, by their fingerprints; empty for none."""
    count = int(learned.recognise(prints).trained_on.sum())
    if not count:
        return ''
    return (f'{count} of the {len(prints)} pictures to calibrate on look{"s" * (count == 1)} like '
            f'{"one" if count == 1 else "ones"} that the network was trained on (perceptual hash): of such pictures it '
            'is surer than of others, and what is fitted to them holds for no other; leave them out')


def with_stages(bundle: Bundle, wanted: Sequence[str] = (), ood: str = AUTO) -> Bundle:
    """The bundle with a network that gives stages too, which scores read; that needs no other weights.

    Args:
        wanted: names of stages; ``none``: it stays as it is; empty: those that it has, or, if it has none and ``ood``
            may read them, :func:`~..core.networks.stages.usual_stages` of its architecture.
        ood: the score that will be fitted.

    Raises:
        BundleError: it is an ensemble, or a network that is a file, and stages are named.
    """
    names = tuple(wanted)
    if names == (NO_SCORE,):
        return bundle
    if bundle.members or bundle.graph is not None:
        if names:
            raise BundleError(f'--stages: {bundle.name} is an ensemble, or a network that is a file, whose stages are '
                              'what they are; import its file again with --stages')
        return bundle
    if not names and not bundle.architecture.stages and (ood in (AUTO, COMBINED) or '@' in ood):
        names = usual_stages(bundle.architecture.name)
    return replace(bundle, architecture=replace(bundle.architecture, stages=names)) if names else bundle


def calibration_provenance(outputs: LabelledOutputs) -> Mapping[str, str]:
    """What a bundle records of the data that it was calibrated on."""
    return {'calibration_sha256': outputs.data_hash, 'calibration_pictures': str(len(outputs.known))}

"""A bundle and labelled data -> everything that can be fitted to them: the same for all commands that calibrate."""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.decision.fusion_fit import LEAST_FRAMES, keep_fusion
from ..core.text.notes import to_stderr
from ..core.uncertainty.calibrate import AUTO, NO_SCORE, Calibration, calibrate
from ..core.uncertainty.ood.base import linear_head
from .camera_fit import fit_camera
from .labelled_outputs import LabelledOutputs
from .predict import check_deployment, faulty_outputs, picture_outputs, run_bundle


@dataclass(frozen=True)
class CalibrationOptions:
    """What a calibration is fitted with, and how.

    Attributes:
        reference: labelled data that the network was trained on; empty: half of the data takes its place.
        ood_pictures: folders of pictures of no class; each is a group.
        device, precision: where and at which arithmetic it will run.
        ood: name of a score, ``auto`` or ``none``.
        conformal: kind of the sets; alpha: their error rate.
        scaling: ``temperature``, ``vector`` or ``auto``.
        topics: image topics of bags; empty: each camera once.
        every_s: frames of a camera no closer than this.
        pictures: folder that the files of lists are relative to; None: that of each list.
        seed: of the splits into halves.
    """

    reference: Sequence[str] = ()
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


def calibrate_bundle(bundle: Bundle, data: Sequence[str], options: CalibrationOptions
                     ) -> Tuple[LabelledOutputs, Calibration]:
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
    device, precision = check_deployment(options.device, options.precision)
    where = {'device': options.device, 'precision': precision}

    def outputs_of(paths: Sequence[str]) -> Tuple[LabelledOutputs, str]:
        return run_bundle(bundle, paths, every_s=options.every_s, topics=options.topics, pictures=options.pictures,
                          **where).each_once()
    outputs, copies = outputs_of(data)
    reference: Optional[Tuple[np.ndarray, ...]] = None
    camera_seen, repeats_s = None, outputs.repeats_s
    if options.reference:
        seen, of_reference = outputs_of(options.reference)
        copies = '; '.join(filter(None, [copies, of_reference and f'--reference: {of_reference}']))
        reference = seen.logits[seen.known], seen.features[seen.known], seen.labels[seen.known]
        camera_seen, repeats_s = seen.camera[seen.known], max(repeats_s, seen.repeats_s)
    if copies:
        to_stderr(copies)  # before what may be refused for having too few
    ood_pictures: Dict[str, Tuple[np.ndarray, np.ndarray]] = {
        Path(folder).name: picture_outputs(bundle, folder, **where)[:2] for folder in options.ood_pictures}
    strange = np.setdiff1d(np.arange(len(outputs.labels)), outputs.known)
    if len(strange) > 1:
        ood_pictures['unknown'] = outputs.logits[strange], outputs.features[strange]
    known = outputs.known
    found = calibrate(
        outputs.logits[known], outputs.features[known], outputs.labels[known],
        ood=None if options.ood == NO_SCORE else options.ood, alpha=options.alpha, seed=options.seed,
        reference=reference, head=linear_head(bundle.load_single_network().head), ood_pictures=ood_pictures or None,
        conformal=options.conformal, scaling=options.scaling,
        faulty={name: one[:2] for name, one in faulty_outputs(bundle, **where).items()})
    camera, of_camera = fit_camera(camera_seen, outputs.camera[known], repeats_s)
    fusion = None
    counted = {name: min(value, len(known)) if name == 'objects' else value  # copies are left out
               for name, value in outputs.objects.items()}
    found = replace(found, metrics={**found.metrics, **counted})
    streams = outputs.streams(found.probabilities(outputs.logits, outputs.features))
    notes = (*found.notes, *filter(None, [copies, of_camera]))
    if sum(len(stream.labels) for stream in streams if len(stream.labels) > 1) >= LEAST_FRAMES:
        kept = keep_fusion(streams)
        fusion, notes = kept.times, (*notes, *filter(None, [kept.note]))
    elif streams:
        notes = (*notes, f'the general times of the fusion stay: {LEAST_FRAMES} labelled frames of recordings are '
                 'needed for times of their own')
    return outputs, replace(found, device=device, precision=precision, fusion=fusion, notes=notes,
                            camera=camera or bundle.camera)


def calibration_provenance(outputs: LabelledOutputs) -> Mapping[str, str]:
    """What a bundle records of the data that it was calibrated on."""
    return {'calibration_sha256': outputs.data_hash, 'calibration_pictures': str(len(outputs.known))}

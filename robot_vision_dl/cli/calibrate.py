"""``robot-vision calibrate``: fit a bundle's probabilities, sets and OOD score to labelled data of the deployment."""
import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Dict

from ..core.backends.int8_choice import int8_beside
from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_format import CARD_FOLDER, MODEL, read_description
from ..core.bundles.bundle_search import check_own
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.calibration_figures import count_of
from ..core.bundles.model_card import CALIBRATED_AGAIN, TESTED, render_card
from ..core.bundles.score_origin import OF_REFERENCE, SCORE_FITTED_TO, is_score_of_others
from ..core.bundles.trust_limits import trust_limits
from ..core.config import PRECISIONS
from ..core.errors import BundleError, ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable
from ..core.machine import utc_now
from ..core.networks.preprocess import MOST_SIDE
from ..core.text.notes import to_stderr
from ..core.text.number_options import SECONDS, SEED, SHARE, whole
from ..core.uncertainty.attainable_rates import smallest_rate
from ..core.uncertainty.calibrate import AUTO, NO_SCORE, SCALINGS, Calibration
from ..core.uncertainty.conformal import CONFORMAL_METHODS
from ..core.uncertainty.ood.part import COMBINED, OOD_METHODS, parse_parts

if TYPE_CHECKING:  # imported where it is used: `robot-vision models` needs neither rosbags nor torchvision
    from ..evaluation.calibrate_bundle import CalibrationOptions
    from ..evaluation.labelled_outputs import LabelledOutputs

HELP = 'fit probabilities, sets and the score of unknowns to labelled pictures or bags'
EXAMPLES = """examples:
  robot-vision calibrate models/waste day2/                      bags with labels, or a folder <class>/*.jpg
  robot-vision calibrate models/waste day2/ --reference day1/    day1: what it was trained on, for Laplace and OOD
  robot-vision calibrate models/waste day2/ --ood-pictures other/     choose the OOD score by pictures of no class
  robot-vision calibrate models/waste day2/ --device cuda --precision float16 --into models/waste_fp16
  robot-vision calibrate models/waste day2/ --resize 224 --test day3/     all of each picture is seen, not its middle

DATA must not have been trained on. Pictures that occur more than once count once. Frames labelled "unknown"
are of no class and help to choose the OOD score. From bags, the time constants of the fusion are fitted as well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='DATA', nargs='+',
                        help='labelled bags, folders of pictures <class>/*.jpg, or lists of pictures: CSV with the '
                        'columns file,label')
    parser.add_argument('--into', metavar='FOLDER', help='write a new bundle there; default: replace BUNDLE, if it was '
                        'named by its path')
    parser.add_argument('--stages', metavar='NAME', nargs='+', default=[],
                        help='layers of the network whose outputs scores read, too; none: as it is (default: those '
                        'that it has, else the usual ones of its architecture)')
    parser.add_argument('--resize', type=whole(0, MOST_SIDE), metavar='PIXELS',
                        help='of the shorter side of a picture before its middle is cut out, instead of what the '
                        'bundle has; the size of the crop shows the network all of a square picture')
    parser.add_argument('--test', metavar='DATA', nargs='+', default=[],
                        help='labelled data that took no part in anything: judged on it at last, the card says how '
                        'good the model is (default: the card keeps what it said, with a note)')
    add_calibration_arguments(parser)


def ood_name(text: str) -> str:
    """What ``--ood`` takes; whether the network has such stages is seen later."""
    if text not in (AUTO, COMBINED, NO_SCORE):
        try:
            parse_parts(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_calibration_arguments(parser: 'argparse._ActionsContainer') -> None:
    """What is fitted to which data, and how: of all commands that calibrate; see :func:`calibration_options`."""
    parser.add_argument('--reference', metavar='DATA', nargs='+', default=[],
                        help='labelled data that it was trained on, to fit the OOD score and Laplace to; without, a '
                        'score that was fitted to the training stays, and else half of DATA takes its place')
    parser.add_argument('--apart', metavar='DATA', nargs='+', default=[],
                        help='labelled data that it was not trained on and that is not in DATA, e.g. what told '
                        'training when to stop: the parts of a combined OOD score are standardised on it (default: by '
                        'cross-fitting)')
    parser.add_argument('--ood-pictures', '--foreign', metavar='FOLDER', nargs='+', default=[],
                        help='folders of pictures of no class; each is a group')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda: where it will run (default: auto)')
    parser.add_argument('--precision', default='float32', choices=PRECISIONS,
                        help='at which it will run (default: float32, or int8 of an int8 bundle)')
    parser.add_argument('--ood', default=AUTO, type=ood_name, metavar='SCORE',
                        help='OOD score: auto (default: the one that was fitted to the training, or else combined, '
                        f'unless --ood-pictures show another one to be clearly better), {COMBINED}, '
                        f'{", ".join(sorted(OOD_METHODS))}, {NO_SCORE}; of a stage '
                        'knn@STAGE; some of them as one knn+mahalanobis_normalised@STAGE')
    parser.add_argument('--conformal', default='lac', choices=CONFORMAL_METHODS, help='kind of sets (default: lac)')
    parser.add_argument('--alpha', type=SHARE, default=0.1, help='error rate of the sets (default: .1)')
    parser.add_argument('--scaling', default=AUTO, choices=SCALINGS,
                        help='one temperature; a weight and an offset a class; or (default) what is clearly better')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics of bags, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--every', type=SECONDS, default=0.2, metavar='S',
                        help='frames of a bag no closer than this, since neighbours tell little new (default: .2)')
    parser.add_argument('--seed', type=SEED, default=0, help='of the splits into halves (default: 0)')
    parser.add_argument('--pictures', metavar='FOLDER',
                        help='what the files of a CSV are relative to; default: its folder')


def calibration_options(args: argparse.Namespace) -> 'CalibrationOptions':
    """Of the arguments of :func:`add_calibration_arguments`."""
    from ..evaluation.calibrate_bundle import CalibrationOptions
    return CalibrationOptions(
        reference=tuple(args.reference), apart=tuple(args.apart), ood_pictures=tuple(args.ood_pictures),
        device=args.device, precision=args.precision, ood=args.ood, conformal=args.conformal, alpha=args.alpha,
        scaling=args.scaling, topics=tuple(args.topics), every_s=args.every, pictures=args.pictures, seed=args.seed)


def run(args: argparse.Namespace) -> int:
    """Calibrate."""
    from ..evaluation.calibrate_bundle import calibrate_bundle, calibration_provenance, with_stages
    from ..evaluation.tested import (
        CONFUSION,
        MISTAKES,
        TEST_FIGURES,
        TEST_FILES,
        test_figures,
        test_files,
        test_sentence,
        tested_again,
        with_test,
        without_test,
    )
    bundle = load_bundle(args.bundle)
    if bundle.folder is None:
        raise BundleError(f'{args.bundle}: is not a bundle with a folder; import it first (`robot-vision models '
                          'import`)')
    if not args.into:
        check_own(bundle.source, bundle.folder, 'choose a folder for the new one with --into, or give the path of the '
                  'folder to replace it')
    target = user_path(args.into) if args.into else bundle.folder
    card_files = own_card_files(bundle.folder)
    check_writable(target.resolve().parent, remedy='make room, or choose another folder with --into')
    if args.into and target.exists():
        raise BundleError(f'{target}: is there already; choose another folder for --into')
    bundle, options = with_stages(bundle, args.stages, args.ood), calibration_options(args)
    before = bundle.preprocessing.resize
    resized = args.resize not in (None, before)
    if resized:
        bundle = replace(bundle, preprocessing=replace(bundle.preprocessing, resize=args.resize))
    outputs, fitted = calibrate_bundle(bundle, args.data, options)
    found = fitted.calibration
    tested, taken = tested_again(bundle, args.test, fitted, options) if args.test else (None, '')
    if taken:
        to_stderr(f'--test: {taken}, which flatters; the card says so')
    card_files.update(fitted.learned.card_file())
    network = bundle.load_single_network()
    provenance = {
        **bundle.provenance, **calibration_provenance(outputs), 'calibrated_from': bundle.identity,
        'calibrated': utc_now(), 'calibrated_by': args.command_line}
    provenance.pop(TESTED, None)
    if tested is not None:
        provenance[TESTED] = f'on {tested.calibrated.pictures} frames of --test, after this calibration'
    fitted_to = provenance.pop(SCORE_FITTED_TO, 'data of its training' if is_score_of_others(bundle) else
                               'half of the pictures of a calibration before')
    if args.reference:
        provenance[SCORE_FITTED_TO] = OF_REFERENCE
    elif found.score_is_kept:
        provenance[SCORE_FITTED_TO] = f'as before: {fitted_to.removeprefix("as before: ")}'
    if 'resized' in provenance:
        provenance['resized'] = str(provenance['resized']).replace('this calibration', 'a calibration before')
    if resized:
        provenance['resized'] = f'pictures to {args.resize} pixels, of {bundle.identity} to {before}'
    metrics = {**bundle.metrics, 'calibration': found.metrics} if 'calibration' in bundle.metrics else found.metrics
    metrics.pop('risk_control', None)  # of another calibration
    notes = kept_notes(bundle)
    was_tested = 'test' in metrics or f'{CARD_FOLDER}/{CONFUSION}' in notes
    if tested is not None:
        kept = {key: value for key, value in bundle.metrics.items() if key not in (*TEST_FIGURES, 'risk_control')}
        metrics = {**(kept if 'calibration' in kept else {}), 'calibration': found.metrics, **test_figures(tested)}
        notes = with_test(notes, tested, taken)
        card_files = {**{name: data for name, data in card_files.items() if name != MISTAKES}, **test_files(tested)}
        # Another network input is another network to a calibration: what the old one says of it is no comparison.
        print(test_sentence(replace(tested, before=None) if resized else tested))
    elif resized and was_tested:
        metrics = {key: value for key, value in metrics.items() if key not in TEST_FIGURES}
        card_files = {name: data for name, data in card_files.items() if name not in TEST_FILES}
        size = f'what was tested before saw pictures resized to {before} pixels, not to {args.resize}'
        notes = without_test(notes, size)
        to_stderr(f'{size}: how good the model is now is not known, give --test')
    elif was_tested and CALIBRATED_AGAIN not in notes:
        notes = notes.replace('## Test\n', f'## Test\n\n{CALIBRATED_AGAIN}\n', 1)
    card = render_card(bundle.name if not args.into else target.name, network.architecture, bundle.class_names,
                       bundle.preprocessing, found, provenance, notes)
    written = save_bundle(
        target, network, bundle.class_names, bundle.preprocessing, name=None if args.into else bundle.name,
        calibration=found, abstain_cost=bundle.abstain_cost, metrics=metrics, provenance=provenance, card=card,
        card_files=card_files,
        half=_is_half(bundle), overwrite=not args.into)
    print(report(found, outputs))
    for limit in trust_limits(written):
        print(f'warning: {limit.under(written.name)}')
    for name in int8_beside(written):
        print(f'note: {name} was made of the bundle before and does not run in its place any more; `robot-vision '
              f'quantise {target} DATA --overwrite` makes it anew')
    print(f'bundle: {target}')
    return 0


def own_card_files(folder: Path) -> Dict[str, bytes]:
    """The files in ``card/`` that the bundle in ``folder`` lists as its own; whatever else lies there is left.

    Raises:
        BundleError: one of them is a link or a device, which could be of anything on this machine.
    """
    listed = read_description(folder)[0]['files']
    found = {}
    for name in sorted(listed):
        path = folder / name
        if Path(name).parts[:-1] != (CARD_FOLDER,):
            continue
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            raise BundleError(f'{path}: is a link, or no regular file; a bundle has only files of its own. Put the '
                              'file itself there, or import the model again')
        found[path.name] = path.read_bytes()
    return found


def report(found: Calibration, outputs: 'LabelledOutputs') -> str:
    """What was fitted, for people."""
    m = found.metrics
    lines = [
        f'{len(outputs.known)} frames{count_of(m)}, at {found.precision} on {found.device}, judged by '
        'cross-validation:',
        f'  NLL {m["nll_plain"]:.4f} -> {m["nll"]:.4f}, Brier {m["brier_plain"]:.4f} -> {m["brier"]:.4f}, ECE '
        f'{m["ece_plain"]:.4f} -> {m["ece"]:.4f} (floor {m["ece_floor"]:.4f}), accuracy {m["top1"]:.4f}',
        f'  {"vector scaling" if found.vector is not None else f"temperature {found.temperature:.4f}"} (held-out NLL: '
        + ', '.join(f'{name} {value:.4f}' for name, value in m['nll_by_scaling'].items()) + '); '
        f'{found.conformal.method} sets at {found.conformal.alpha:g}: coverage {m["conformal_coverage"]:.4f}, mean '
        f'size {m["conformal_mean_size"]:.2f}']
    if found.laplace is not None:
        use = 'gives the probabilities' if found.laplace.gives_probabilities else 'for the mutual information only'
        lines.append(f'  Laplace: NLL {m["nll_laplace"]:.4f}, {use}')
    elif not any('Laplace' in note for note in found.notes):
        lines.append('  Laplace: left out, the head is not linear')
    if found.ood is not None:
        lines.append(f'  OOD score: {found.ood_reason or found.ood.words}')
        if found.ood.parts and found.ood_reason:
            lines.append(f'    {found.ood.words}')
        lines += [f'    {group}: AUROC {value:.4f}, called unknown {m["unknown_rate"][group]:.4f} '
                  f'({m["foreign_pictures"][group]} pictures that did not choose it)'
                  for group, value in m.get('ood_auroc', {}).items()]
        n = 0 if found.ood.scores is None else len(found.ood.scores)
        some = '' if n == len(outputs.known) else (f' ({n} of {len(outputs.known)}, for the others fitted the score: '
                                                   'without --reference half are set aside)')
        if m.get('scores_of_before'):
            some = f' ({m["scores_of_before"]} of them of the calibration before)'
        lines.append(f'    unknown at false_unknown_rate {m["unknown_rate_at"]:.4g}; the smallest that {n} calibration '
                     f'pictures reach is 1/{n + 1} = {smallest_rate(n):.4f}{some}')
    if found.fusion is not None:
        lines.append(f'  fusion: correlation time {found.fusion.correlation_time_s:g} s, change time '
                     f'{found.fusion.change_time_s:g} s')
    if found.camera is not None:
        lines.append(f'  faults of the camera: {found.camera.words}')
    lines += [f'  note: {note}' for note in found.notes]
    strange = len(outputs.labels) - len(outputs.known)
    if strange:
        use = 'half of them chose the OOD score, half judge it' if strange > 1 and found.ood else 'not used'
        lines.append(f'  {strange} more are labelled unknown: {use}')
    return '\n'.join(lines)


def _is_half(bundle: Bundle) -> bool:
    """Whether matrices are stored as float16."""
    from safetensors import safe_open
    assert bundle.folder is not None
    if bundle.graph is not None:
        return False  # they stay as they are
    with safe_open(str(bundle.folder / MODEL), framework='pt') as file:
        return any(file.get_slice(key).get_dtype() == 'F16' for key in file.keys())


def kept_notes(bundle: Bundle) -> str:
    """What the card says between its summary and its calibration."""
    assert bundle.folder is not None
    lines = (bundle.folder / 'MODEL_CARD.md').read_text(encoding='utf-8', errors='replace').splitlines()
    end = lines.index('## Calibration') if '## Calibration' in lines else len(lines)
    start = next((number for number, line in enumerate(lines) if line.startswith('- Input: ')), 0) + 1
    return '\n'.join(lines[start:end]).strip()

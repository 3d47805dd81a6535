"""``robot-vision models``: look after model bundles."""
import argparse
import json
from pathlib import Path
from textwrap import wrap
from typing import List, Set, Tuple

from ..core.backends.int8_choice import int8_beside
from ..core.bundles.bundle import Bundle, load_bundle, verify_bundle
from ..core.bundles.bundle_search import find_bundle, list_bundles
from ..core.bundles.trust_limits import trust_limits
from ..core.errors import BundleError
from ..core.networks.architecture import TIMM, is_timm
from ..core.networks.architectures import list_architectures
from ..core.networks.graph_facts import ONNX, OPENVINO
from ..core.networks.timm_networks import list_timm
from ..core.text.printable import printable
from ..core.uncertainty.camera.bounds import NO_BOUNDS
from ..labelling.installation import roll_back
from ..labelling.model_history import describe as describe_history
from ..labelling.model_history import read_history, text_of
from .model_figures import as_json, learned_text, metric_lines, probabilities_by
from .models_import import add_import_arguments, import_model

HELP = 'list, show, verify and import model bundles'
EXAMPLES = """examples:
  robot-vision models list
  robot-vision models show efficientnet_lite0_imagenet
  robot-vision models verify                          all bundles of the package
  robot-vision models verify my_model/
  robot-vision models history models/sorter           what it was trained on, who labelled, how it did
  robot-vision models rollback models/sorter          the bundle before `robot-vision improve` again
  robot-vision models architectures resnet            names that contain "resnet"
  robot-vision models architectures timm:convnext     names of timm
  robot-vision models import weights.pth --architecture resnet18 --classes classes.txt --name sorter
  robot-vision models import weights.pth --architecture squeezenet1_1 --classes imagenet --name everyday --half \\
      --calibrate labels.csv --pictures photos/
  robot-vision models import my_net.onnx --logits output --features flatten --classes classes.txt --name mine \\
      --resize 256 --mean .485 .456 .406 --std .229 .224 .225 --calibrate held_out/

`import` reads a state dict (torch.save(model.state_dict(), ...)), also one within a checkpoint, an ONNX file, or a
program of torch.export.save; nothing in the file is executed but operators that compute with tensors."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    actions.add_parser('list', help='bundles that come with the package, by name, and those in '
                       './models, where train puts them, by the path that they are to be given by')
    show = actions.add_parser('show', help='what a bundle is, how it was calibrated, where it comes from')
    show.add_argument('name', help='a folder, the name of a bundle, torchvision:<architecture>, '
                      'or timm:<name>')
    show.add_argument('--json', action='store_true', help='all metrics and the whole provenance, as JSON')
    verify = actions.add_parser('verify', help='check every byte; exit code 1 if a bundle is not sound')
    verify.add_argument('names', nargs='*', metavar='NAME', help='folder or name; none: all of the package')
    history = actions.add_parser('history', help='what a bundle and those before it in its place were trained on, by '
                                 'whom that was labelled, and how they did')
    history.add_argument('name', help='a folder, or the name of a bundle')
    history.add_argument('--json', action='store_true', help='as it is kept, one JSON object a line')
    rollback = actions.add_parser('rollback', help='put the bundle that `robot-vision improve` replaced in its place '
                                  'again')
    rollback.add_argument('name', help='a folder')
    architectures = actions.add_parser('architectures', help='networks that can be built')
    architectures.add_argument('part', nargs='?', default='', help='only names that contain this; timm: lists those of '
                               'timm, timm:PART some of them')
    importer = actions.add_parser('import', help='make a bundle from a file of weights, or from an ONNX file or a '
                                  'program of torch.export',
                                  formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES)
    add_import_arguments(importer)


def run(args: argparse.Namespace) -> int:
    """Carry out the action and return the exit code."""
    if args.action == 'list':
        return _list()
    if args.action == 'show':
        bundle = load_bundle(args.name)
        print(json.dumps(as_json(bundle), indent=2, default=str) if args.json else '\n'.join(describe(bundle)))
        return 0
    if args.action == 'verify':
        return _verify(args.names or [str(folder) for folder in list_bundles()])
    if args.action == 'history':
        entries = read_history(find_bundle(args.name))
        print(text_of(entries).rstrip() if args.json else '\n'.join(describe_history(entries)))
        return 0
    if args.action == 'rollback':
        bundle = roll_back(find_bundle(args.name))
        print(f'{bundle.name} {bundle.identity} is in its place again; a running node takes it over when its parameter '
              '`model` is set again')
        return 0
    if args.action == 'architectures':
        return _list_architectures(args.part.lower())
    print('\n'.join(describe(import_model(args))))
    return 0


def describe(bundle: Bundle) -> List[str]:
    """Lines for people."""
    pre = bundle.preprocessing
    names = ', '.join(bundle.class_names[:6]) + (', ...' if len(bundle.class_names) > 6 else '')
    lines = [
        f'{bundle.name}   {bundle.identity}',
        f'  folder         {bundle.folder or "none: weights of torchvision or timm"}',
        f'  network        {network_text(bundle)}',
        f'  classes        {len(bundle.class_names)}: {names}',
        f'  preprocessing  resize {pre.resize or "to the crop"}'
        f'{"" if pre.interpolation == "bilinear" else f" ({pre.interpolation})"}, crop {pre.crop[1]}x{pre.crop[0]}, '
        f'mean {pre.mean}, std {pre.std}',
    ]
    if bundle.architecture.stages:
        lines.append(f'  stages         {", ".join(bundle.architecture.stages)}')
    if bundle.calibrated:
        lines.append(f'  calibrated     {probabilities_by(bundle)}, at {bundle.precision}')
    else:
        lines.append('  calibrated     no: probabilities are those of the plain softmax')
    if bundle.conformal is not None:
        lines.append(f'  conformal      {bundle.conformal.method} sets at error rate {bundle.conformal.alpha:g}')
    if bundle.laplace is not None:
        lines.append('  laplace        ' + ('probabilities' if bundle.laplace.gives_probabilities
                                            else 'mutual information'))
    if bundle.density_aware is not None:
        lines.append('  density-aware  what is further out claims less, exponent '
                     f'{bundle.density_aware.exponent:.2f}')
    lines += wrap(bundle.camera.words if bundle.camera else NO_BOUNDS, 120, initial_indent='  camera         ',
                  subsequent_indent=' ' * 17)
    if bundle.fusion is not None:
        lines.append(f'  fusion         correlation time {bundle.fusion.correlation_time_s:.3g} s, change time '
                     f'{bundle.fusion.change_time_s:.3g} s')
    if bundle.ood is None:
        lines.append('  unknown        never: there is no OOD score')
    elif bundle.ood.scores is None:
        lines.append(f'  unknown        never: {bundle.ood.name} has no calibration scores')
    else:
        n = len(bundle.ood.scores)
        lines += wrap(f'{bundle.ood.words}, {n} calibration scores, smallest p-value {1 / (n + 1):.4f}', 120,
                      initial_indent='  unknown        ', subsequent_indent=' ' * 17)
    lines.append(f'  abstain cost   {bundle.abstain_cost:g}')
    lines += [f'  learned from   {text}' for text in filter(None, [learned_text(bundle)])]
    beside = int8_beside(bundle)
    if beside:
        lines += wrap(f'{" and ".join(beside)} beside it: with `precision: auto`, the default, it runs in place of '
                      'this one where it was measured to be quicker on the machine; `precision: float32` keeps this '
                      'one', 120, initial_indent='  int8           ', subsequent_indent=' ' * 17)
    lines += [f'  caution        {limit.under(bundle.name)}' for limit in trust_limits(bundle)]
    lines += metric_lines(bundle)
    if bundle.provenance:
        lines += ['  provenance'] + [f'    {printable(key, 40)}: {printable(value, 100)}'
                                     for key, value in bundle.provenance.items()]
    if bundle.metrics or bundle.provenance:
        lines.append('  metrics and provenance in full: robot-vision models show ... --json')
    return lines


def network_text(bundle: Bundle) -> str:
    """What network a bundle has, in words."""
    spec, graph = bundle.architecture, bundle.graph
    colours = 'RGB' if spec.in_channels == 3 else 'grey'
    if graph is None:
        return f'{spec.name}, {colours}, {spec.head} head'
    runtime = 'OpenVINO' if graph.runtime == OPENVINO else 'ONNX Runtime'
    what = f'ONNX file, runs on {runtime}' if spec.name == ONNX else 'program of torch.export'
    if graph.weight_bits is not None:
        what = f'int8 {what}, weights of {graph.weight_bits} bits'
    features = (f'{graph.features} features, {"linear" if bundle.has_head else "no linear"} head' if graph.features
                else 'no features')
    batch = '' if graph.batch is None else f', batches of {graph.batch}'
    return f'{what}, {colours}, {features}{batch}'


def _list_architectures(part: str) -> int:
    known, wanted = (list_timm(), part[len(TIMM):]) if is_timm(part) else (list_architectures(), part)
    names = [name for name in known if wanted in name.removeprefix(TIMM)]
    print('\n'.join(names) if names else f'none of {len(known)} names contains {wanted!r}')
    return 0 if names else 1


def _list() -> int:
    rows = [('NAME', 'NETWORK', 'CLASSES', 'CALIBRATED', 'OOD', 'SIZE', 'IDENTITY')]
    problems: List[str] = []
    listed: Set[Tuple[str, str]] = set()
    packaged = list_bundles()
    own = sorted(path.parent for path in Path('models').glob('*/bundle.json'))
    known = {folder.resolve() for folder in packaged}
    for shown, folder in [(folder.name, folder) for folder in packaged] + [
            (str(folder), folder) for folder in own if folder.resolve() not in known]:
        shown = printable(shown, 80)
        try:
            bundle = load_bundle(folder)
        except BundleError as error:
            problems.append(str(error))
            rows.append((shown, 'NOT SOUND', '', '', '', '', ''))
            continue
        if (folder.name, bundle.identity) in listed:  # a checkout has what the package that is built of it ships
            continue
        listed.add((folder.name, bundle.identity))
        size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6
        rows.append((shown, bundle.architecture.name, str(len(bundle.class_names)),
                     'yes' if bundle.calibrated else 'no', bundle.ood.name if bundle.ood else '-', f'{size:.1f} MB',
                     bundle.identity))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print('  '.join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _verify(names: List[str]) -> int:
    sound = True
    for name in names:
        problems = verify_bundle(name)
        sound = sound and not problems
        print(f'{name}: {"sound" if not problems else "NOT SOUND"}')
        for problem in problems:
            print(f'  {problem}')
    if not names:
        print('there are no bundles in the package')
    return 0 if sound else 1

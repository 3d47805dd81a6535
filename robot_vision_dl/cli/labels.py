"""``robot-vision labels``: labels of a queue to the bags, to other programs, and back."""
import argparse
from pathlib import Path

from ..core.text.number_options import whole

HELP = 'write the labels of a queue beside its bags, or exchange them with other programs'
EXAMPLES = """`write` makes labels.yaml beside each bag, as train, evaluate and bag extract read it: unsure is left
out, ignore and unknown are written. What a bag was labelled before holds where the queue says nothing; a file of your
own is kept as labels.yaml.bak.

`export` writes pictures and labels to a new folder, `import` takes back what was changed there: what the queue was
labelled otherwise since stays, and is told. Every imported label is an event of the queue, by import:FORMAT.
  folders        one folder a label, and index.csv; move pictures to other folders
  cvat           annotations.xml ("CVAT for images 1.1", tags) and images/
  label-studio   tasks.json, config.xml (the labelling interface) and images/
  fiftyone       FiftyOneImageClassificationDataset: labels.json and data/
  hugging-face   imagefolder of `datasets`: metadata.jsonl and images/
  foxglove       bags with foxglove_msgs/Event for the time line; written only

examples:
  robot-vision labels write queue
  robot-vision labels write queue --out labels           bags that cannot be written: train --labels labels/labels.yaml
  robot-vision labels export queue sorted --format folders --pictures 1
  robot-vision labels import queue sorted
  robot-vision labels import queue project-1.json        as Label Studio exports it"""

_WRITE = 'labels.yaml beside each bag'
_EXPORT = 'pictures and labels for another program'
_IMPORT = 'what another program made of an export'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommands."""
    from ..labelling.exchange.formats import AUTO, FORMATS, FOXGLOVE
    from ..labelling.exchange.pictures import WHAT
    subcommands = parser.add_subparsers(metavar='SUBCOMMAND', required=True)
    write = subcommands.add_parser('write', help=_WRITE, description=_WRITE)
    write.add_argument('queue', type=Path, metavar='QUEUE', help='folder of `robot-vision mine`')
    write.add_argument('--out', type=Path, metavar='FOLDER', help='one labels.yaml for all bags there instead')
    write.set_defaults(run_subcommand=_write)
    export = subcommands.add_parser('export', help=_EXPORT, description=_EXPORT)
    export.add_argument('queue', type=Path, metavar='QUEUE', help='folder of `robot-vision mine`')
    export.add_argument('out', type=Path, metavar='OUT', help='new or empty folder')
    export.add_argument('--format', required=True, choices=(*FORMATS, FOXGLOVE),
                        help='see `robot-vision labels --help`')
    export.add_argument('--what', choices=WHAT, default=WHAT[0],
                        help='with a label; and what mining chose; and all else; default: %(default)s')
    export.add_argument('--pictures', type=whole(), default=0, metavar='N',
                        help='pictures of a labelled stretch, evenly over it; default: all that the queue has')
    export.add_argument('--full', action='store_true',
                        help='frames of the bags as they were recorded, not the small pictures of the queue')
    export.set_defaults(run_subcommand=_export)
    take = subcommands.add_parser('import', help=_IMPORT, description=_IMPORT)
    take.add_argument('queue', type=Path, metavar='QUEUE', help='folder of `robot-vision mine`')
    take.add_argument('path', type=Path, metavar='PATH', help='the folder that was exported, or a file of labels')
    take.add_argument('--format', choices=(AUTO, *FORMATS), default=AUTO, help='default: told by the files')
    take.add_argument('--clear', action='store_true',
                      help='a picture without a label takes the label away; default: it says nothing')
    take.set_defaults(run_subcommand=_import)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    return args.run_subcommand(args)


def _write(args: argparse.Namespace) -> int:
    """Exit code 1: there is no label to write."""
    from ..core.text.notes import to_stderr
    from ..core.text.printable import printable
    from ..core.text.table import aligned
    from ..labelling.outcome import write_labels
    done = write_labels(args.queue, args.out)
    for note in dict.fromkeys(note for one in done for note in one.notes):
        to_stderr(note)
    rows = [['recording', 'labels', 'earlier', 'file', '']]
    for one in done:
        counts = ', '.join(f'{printable(label, 60)} {count}' for label, count in one.counts.items())
        rows.append([printable(one.recording), counts or '-', str(one.kept), printable(one.path),
                     'written' if one.changed else 'as it was'])
    if done:
        print('\n'.join(aligned(rows)))
    for backup in dict.fromkeys(one.backup for one in done if one.backup is not None):
        print(f'what was there before: {printable(backup)}')
    if not any(one.counts for one in done):
        queue = printable(args.queue)
        print(f'{queue}: nothing is labelled; `robot-vision label {queue}` opens the page')
        return 1
    if args.out is not None:
        print(f'use it with --labels {printable(done[0].path)}')
    return 0


def _export(args: argparse.Namespace) -> int:
    """Exit code 1: there is nothing to export."""
    from ..core.text.notes import to_stderr
    from ..core.text.printable import printable
    from ..core.text.progress import Progress
    from ..labelling.exchange.exchange import export_labels
    with Progress('exporting', 'pictures') as show:
        done = export_labels(args.queue, args.out, args.format, args.what, args.pictures, args.full, show)
    if done.without:
        to_stderr(f'{done.without} labelled stretches are left out: the queue has no picture of them; mine again')
    what = f'{done.pictures} pictures of {done.stretches} stretches' if done.pictures else f'{done.stretches} events'
    print(f'{printable(args.out)}: {what}, {args.format}')
    return 0 if done.stretches else 1


def _import(args: argparse.Namespace) -> int:
    """Exit code 1: not one picture belongs to the queue."""
    from ..core.text.notes import to_stderr
    from ..labelling.exchange.exchange import import_labels
    from ..labelling.exchange.formats import why_nothing
    from ..labelling.exchange.merging import told
    done = import_labels(args.queue, args.path, args.format, args.clear)
    if not done.merged.pictures:
        to_stderr(why_nothing(args.path, done.form))
    for line in told(done.merged, done.stored):
        print(line)
    return 0 if done.merged.pictures > len(done.merged.strangers) else 1

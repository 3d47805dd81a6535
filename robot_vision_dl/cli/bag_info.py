"""``robot-vision bag info``: what is in a bag, and what is wrong with it."""
import argparse
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from ..core.text.printable import printable
from ..core.types import UNKNOWN

if TYPE_CHECKING:
    from ..data.bags.reader import BagReader, TopicInfo

HELP = 'show topics, types, counts, rates, encodings, sizes, label coverage and damage'
EXAMPLES = """examples:
  robot-vision bag info recording/
  robot-vision bag info a.bag b.mcap --images-only
  robot-vision bag info recording/ --json | jq .[0].topics

Exit code 1: something is missing or damaged; what can be read is shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument('bags', nargs='+', metavar='BAG', help='.bag, .mcap or .db3 file, or a folder')
    parser.add_argument('--images-only', action='store_true', help='image topics only')
    parser.add_argument('--json', action='store_true', help='for programs')


def run(args: argparse.Namespace) -> int:
    """Print a table for each bag."""
    from ..data.bags.reader import open_bags
    from ..data.cameras import choose_topics
    reports: List[Dict[str, Any]] = []
    for reader in open_bags(args.bags):
        with reader:
            topics = [topic for topic in reader.survey() if topic.is_image or not args.images_only]
            report = _report(reader, topics)
            report['notes'] += choose_topics(reader).notes
            _add_labels(report, reader)
        _add_alike(report, reports)
        reports.append(report)
        if not args.json:
            _print(report)
    if args.json:
        print(json.dumps(reports, indent=2))
    return 1 if any(report['problems'] for report in reports) else 0


def _report(reader: 'BagReader', topics: Sequence['TopicInfo']) -> Dict[str, Any]:
    duration = 0.0 if reader.start_ns is None or reader.end_ns is None else (reader.end_ns - reader.start_ns) / 1e9
    return {
        'path': str(reader.path), 'start_ns': reader.start_ns, 'duration_s': duration,
        'messages': sum(topic.count for topic in topics),
        'topics': [{
            'name': topic.name, 'type': topic.msgtype, 'count': topic.count,
            'rate_hz': None if topic.rate_hz is None else round(topic.rate_hz, 3), 'first_ns': topic.first_ns,
            'last_ns': topic.last_ns, 'encoding': topic.encoding, 'width': topic.width, 'height': topic.height,
            'latched': topic.latched, 'unreadable': topic.unreadable or None} for topic in topics],
        'problems': list(reader.problems), 'notes': list(reader.notes)}


def _add_labels(report: Dict[str, Any], reader: 'BagReader') -> None:
    from ..core.errors import ConfigError
    from ..data.frame_sources import label_coverage
    from ..data.labels.labels import LabelConfig
    try:
        coverage = label_coverage(reader, LabelConfig())
    except ConfigError as error:
        report['problems'].append(f'labels: {error}')
        return
    if coverage is not None:
        report['problems'] += [problem for problem in coverage.problems if problem not in report['problems']]
        report['notes'] += [note for note in coverage.notes if note not in report['notes']]
        report['labels'] = [{
            'topic': topic.topic, 'frames': topic.frames, 'labels': dict(topic.labels), 'ignored': topic.ignored,
            'conflicts': topic.conflicts, 'gaps': topic.gaps, 'hint': topic.hint or None} for topic in coverage.topics]


def _add_alike(report: Dict[str, Any], before: Sequence[Dict[str, Any]]) -> None:
    """Labels that would be two classes by their spelling alone, in this bag or in those before it."""
    from ..data.labels.labels import alike
    names = [list(dict.fromkeys(label for one in reports for item in one.get('labels', ()) for label in item['labels']))
             for reports in (before, [*before, report])]
    known = alike(names[0])
    report['notes'] += [f'the labels {first!r} and {second!r} differ in case or spelling of the same letters only; '
                        'training refuses them as two classes: name them alike, or both in data.class_names if they '
                        'are meant' for first, second in alike(names[1]) if (first, second) not in known]


def _print(report: Dict[str, Any]) -> None:
    start = ''
    if report['start_ns'] is not None:
        start = f', from {datetime.fromtimestamp(report["start_ns"] / 1e9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC'
    print(f'{printable(report["path"])}: {report["messages"]} messages in {report["duration_s"]:.2f} s{start}')
    rows: List[List[str]] = [['topic', 'type', 'count', 'rate Hz', 'picture']]
    for topic in report['topics']:
        picture = ''
        if topic['width'] is not None:
            picture = f'{topic["width"]}x{topic["height"]} {topic["encoding"]}'
        elif topic['encoding'] is not None:
            picture = f'{topic["encoding"]}, cannot be decoded'
        if topic['unreadable']:
            picture = f'not readable: {topic["unreadable"]}'
        rate = '' if topic['rate_hz'] is None else f'{topic["rate_hz"]:.2f}'
        rows.append([printable(topic['name'], 100), printable(topic['type'], 100), str(topic['count']), rate,
                     printable(picture)])
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.rjust(width) if column in (2, 3) else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print(('  ' + '  '.join(cells)).rstrip())
    for item in report.get('labels', ()):
        counts = ', '.join(f'{printable(label)} {count}' for label, count in item['labels'].items()) or 'none'
        print(f'  labels of {printable(item["topic"])}: {counts}; without: {item["gaps"]} gaps, '
              f'{item["conflicts"]} conflicts, {item["ignored"]} ignored of {item["frames"]} frames')
        if item['labels'].get(UNKNOWN):
            print(f'    {item["labels"][UNKNOWN]} frames are labelled {UNKNOWN}: of no class; training and calibration '
                  'do not learn from them, they choose and judge the OOD score')
        if item['hint']:
            print(f'    hint: {printable(item["hint"], 2000)}')
    for note in report['notes']:
        print(f'  note: {note}')
    for problem in report['problems']:
        print(f'  problem: {printable(problem, 2000)}')

"""What ``robot-vision bench live`` prints."""
import os
from typing import Any, Dict, List, Mapping, Tuple

from ..core.text.table import ruled

MOST_ROWS = 8
"""Cameras that have a row of their own; more have one together."""
_COUNTS = ('sent', 'received', 'decided', 'lost_in_transport', 'unexplained')


def accounts(contenders: Mapping[str, Any]) -> str:
    """Where pictures, and arrays of detections, went."""
    rows: List[Tuple[object, ...]] = []
    for name, result in contenders.items():
        cameras = result['cameras']
        if len(cameras) > MOST_ROWS:
            cameras = {f'all {len(cameras)}': _sum(list(cameras.values()))}
        for camera, values in cameras.items():
            rows.append(_account(name, f'{camera}: pictures' if 'arrays' in values else camera, values))
            if 'arrays' in values:
                rows.append(_account(name, f'{camera}: detections', values['arrays']))
    return ruled(('node', 'camera', 'sent', 'received', 'decided', 'dropped', 'lost', 'unexplained'), rows)


def _account(name: str, what: str, values: Mapping[str, Any]) -> Tuple[object, ...]:
    return (name, what, values['sent'], values['received'], values['decided'], _reasons(values['dropped']),
            values['lost_in_transport'], values['unexplained'])


def _reasons(counts: Mapping[str, int]) -> str:
    return ', '.join(f'{count} {reason}' for reason, count in counts.items()) or '0'


def _sum(cameras: List[Mapping[str, Any]]) -> Dict[str, Any]:
    """The accounts of several cameras as one."""
    found: Dict[str, Any] = {key: sum(values[key] for values in cameras) for key in _COUNTS}
    found['dropped'] = {}
    for values in cameras:
        for reason, count in values['dropped'].items():
            found['dropped'][reason] = found['dropped'].get(reason, 0) + count
    if 'arrays' in cameras[0]:
        found['arrays'] = _sum([values['arrays'] for values in cameras])
    return found


def throughput(contenders: Mapping[str, Any]) -> str:
    """What was decided a second, beside the bare network."""
    rows, objects = [], []
    for name, result in contenders.items():
        has_objects = 'objects' in result
        per_s = result['objects_per_s' if has_objects else 'decided_per_s']
        bare_per_s = result['bare_per_s']
        rows.append((name, 'objects' if has_objects else 'pictures', per_s, bare_per_s, _batches(result),
                     per_s / bare_per_s))
        if has_objects:
            refused = {reason: count for reason, count in result['objects'].items() if reason != 'decided'}
            objects.append((name, result['objects']['decided'], _reasons(refused), result['objects_unexplained']))
    found = ruled(('node', 'of all cameras', 'decided/s', 'bare network alone', 'in batches of', 'share'), rows)
    if objects:
        found += '\n\n' + ruled(('node', 'objects decided', 'not looked at, by reason', 'unexplained'), objects)
    return found


def _batches(result: Mapping[str, Any]) -> str:
    return '+'.join(map(str, result['batches']))


def latencies(contenders: Mapping[str, Any], rate_hz: float, several_bundles: bool) -> str:
    """From the stamp to the decision, beside the bare forward pass."""
    rows = []
    for name, result in contenders.items():
        floor, cpu = result['bare_forward_ms'], _cpu_beside(result)
        for what, key in _stretches(result):
            latency = result[key]
            rows.append((f'{name}: {what}', *latency.values(), latency['p50'] - floor['p50'],
                         latency['p99'] - floor['p50'], cpu))
    floors = {(result['model'], result['backend'], result['threads'], _batches(result)): result
              for result in contenders.values()}
    for (model, backend, threads, batches), result in floors.items():
        floor, paced = result['bare_forward_ms'], result['bare_forward_at_rate_ms']
        which = f', {os.path.basename(model.rstrip("/"))}' if several_bundles else ''
        name = f'floor: bare forward{which}, {backend}, batch {batches}, {threads} thread(s)'
        rows.append((name, *floor.values(), 0.0, 0.0, 0.0))
        if paced['n']:
            rows.append((f'{name}, at {rate_hz:g} Hz', *paced.values(), paced['p50'] - floor['p50'],
                         paced['p99'] - floor['p50'], 0.0))
    objects = any('objects' in result for result in contenders.values())
    since = 'from the stamp (boxes: from when they were sent) until' if objects else 'from the stamp until'
    return ruled((since, 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'added p50', 'added p99',
                  'CPU ms/frame beside the network'), rows)


def watching(contenders: Mapping[str, Any]) -> str:
    """What a watcher and evidence on the overlay cost, beside the first of the contenders."""
    key = 'decided_ms' if 'objects' not in next(iter(contenders.values())) else 'answer_left_ms'
    first = next(iter(contenders.values()))
    rows = []
    for name, result in contenders.items():
        values = next(iter(result['cameras'].values()))['diagnostics']
        rows.append((name, result[key]['n'], result.get('overlays_seen', 0), result[key]['p50'], result[key]['p99'],
                     result[key]['p50'] / first[key]['p50'], result[key]['p99'] / first[key]['p99'],
                     result['node_cpu_ms_per_frame'], float(values.get('forward_ms_mean', 'nan')),
                     float(values.get('evidence_ms_mean', 0))))
    return ruled(('until it leaves', 'n', 'overlays seen', 'p50 ms', 'p99 ms', 'p50 : first', 'p99 : first',
                  'CPU ms/frame', 'pass ms', 'evidence ms'), rows)


def _stretches(result: Mapping[str, Any]) -> List[Tuple[str, str]]:
    if 'objects' not in result:
        return [('its decision leaves', 'decided_ms'), ('its decision arrives', 'latency_ms')]
    return [('the answer leaves', 'answer_left_ms'), ('the answer arrives', 'answered_ms')]


def with_detector(contenders: Mapping[str, Any]) -> str:
    """From the stamp of a picture to the answer about its objects, the detector's time in it."""
    return ruled(('from the stamp of the picture until', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'), [
        (f'{name}: {what}', *result[key].values()) for name, result in contenders.items() if 'objects' in result
        for what, key in (('its boxes are sent', 'detector_ms'), ('the answer leaves', 'decided_ms'),
                          ('the answer arrives', 'latency_ms'))])


def _cpu_beside(result: Mapping[str, Any]) -> float:
    """CPU time of the node that the network does not take, ms a picture."""
    looked_at = 1.0
    if 'objects' in result:
        looked_at = result['node_cpu_ms_per_frame'] / result['node_cpu_ms_per_object']
    return float(result['node_cpu_ms_per_frame'] - looked_at * result['bare_forward_cpu_ms'])


def stages(name: str, result: Mapping[str, Any]) -> str:
    """What the node says of its stages, of its first camera."""
    values = next(iter(result['cameras'].values()))['diagnostics']
    found = f'in {name}, by its diagnostics, for what was decided together: ' + ', '.join(
        f'{key} {float(value):.3g}' for key, value in values.items()
        if key.endswith('_ms_mean') or key == 'batch_size_mean')
    if 'objects' in result and result['objects']['decided']:
        frame, each = _cpu_beside(result), result['node_cpu_ms_per_frame'] / result['node_cpu_ms_per_object']
        found += (f'\n{name}: {frame:.2f} ms of CPU a picture beside the network, {frame / each:.2f} an object; the '
                  f'network itself {result["bare_forward_cpu_ms"]:.2f} an object')
    return found

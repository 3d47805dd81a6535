"""What happens to the nodes of a soak, beside their cameras: by a seed, one thing every second or so."""
import random
from collections import Counter, deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np

from ..core import types
from ..core.images.cdr import encode_classification, encode_compressed_image, encode_image

# Values that have to be taken, and values that have to be refused.
GOOD_VALUES: Tuple[Tuple[str, Sequence[Any]], ...] = (
    ('decision.abstain_cost', (-1.0, 0.1, 0.5, 0.9)), ('decision.hysteresis', (0.0, 0.1, 0.3)),
    ('decision.false_unknown_rate', (0.0, 0.01, 0.1)), ('fusion.enabled', (True, False)),
    ('fusion.correlation_time_s', (-1.0, 0.0, 2.0)), ('fusion.change_time_s', (-1.0, 1.0, 20.0)),
    ('fusion.reset_gap_s', (0.5, 1.0)), ('regions_of_interest', ('', '200x200+10+10', '100x100')),
    ('max_rate_hz', (0.0, 2.0)), ('top_k', (1, 5, 1000)), ('class_id_as_index', (True, False)),
    ('max_batch', (1, 8)), ('stale_after_s', (0.5, 2.0)), ('image.max_megapixels', (1.0, 100.0)))
BAD_VALUES: Tuple[Tuple[str, Sequence[Any]], ...] = (
    ('model', ('~nosuchuser/m', 'x' * 5000, 'a\0b', '/dev/zero', '/', 'ensemble:a', '')),
    ('regions_of_interest', ('9' * 5000 + 'x1', '0x0', 'nocamera=1x1')),
    ('decision.abstain_cost', (float('nan'), -0.5, 7.0)), ('top_k', (0, -1, 2 ** 62)),
    ('decision.costs_file', ('/dev/zero', '/nowhere', '~nosuchuser/c', '/etc/passwd')),
    ('fusion.enabled', (3, 'yes')), ('threads', (3,)), ('cameras', (['a', 'b'],)))


class Disturber:
    """Does one thing after another to the nodes.

    Args:
        node: to talk through.
        nodes: name of a node -> camera -> topic of its images.
        models: two that are exchanged for each other.
        rng: decides what and when.

    Attributes:
        counts: what was done, how often.
        last: the last things done, for a report.
        problems: what was answered otherwise than it must be.
    """

    def __init__(self, node: Any, nodes: Mapping[str, Mapping[str, str]], models: Tuple[str, str],
                 rng: random.Random) -> None:
        from rcl_interfaces.srv import SetParameters
        from sensor_msgs.msg import CompressedImage, Image
        from vision_msgs.msg import Classification
        self._node, self._nodes, self._models, self._rng = node, nodes, models, rng
        self.counts: Counter[str] = Counter()
        self.last: Deque[str] = deque(maxlen=10)
        self.problems: List[str] = []
        self._next_s, self._next_swap_s = 1.0, 10.0
        self._model: Dict[str, int] = dict.fromkeys(nodes, 0)
        self._setters = {name: node.create_client(SetParameters, f'/{name}/set_parameters') for name in nodes}
        self._images: Dict[str, Tuple[Any, bool]] = {}
        self._priors: Dict[str, Any] = {}
        for name, cameras in nodes.items():
            for camera, topic in cameras.items():
                compressed = topic.endswith('/compressed')
                self._images[topic] = (node.create_publisher(CompressedImage if compressed else Image, topic, 10),
                                       compressed)
                self._priors[f'/{name}/{camera}'] = node.create_publisher(
                    Classification, f'/{name}/{camera}/prior', 10)
        self._subscriptions: List[Any] = []
        self._actions: Tuple[Tuple[str, float, Callable[[], None]], ...] = (
            ('parameters set', 4, self._set_good), ('bad parameters', 3, self._set_bad),
            ('bad images', 4, self._bad_image), ('priors', 2, self._prior), ('bad priors', 2, self._bad_prior),
            ('subscribers', 2, self._reconnect))

    def tend(self, now_s: float) -> None:
        """Do what is due."""
        if now_s >= self._next_swap_s:
            self._next_swap_s = now_s + self._rng.uniform(15.0, 40.0)
            self._do('model swaps', self._swap)
        if now_s >= self._next_s:
            self._next_s = now_s + self._rng.expovariate(1.0)
            names, weights, actions = zip(*self._actions)
            index = self._rng.choices(range(len(names)), weights)[0]
            self._do(names[index], actions[index])

    def _do(self, name: str, action: Callable[[], None]) -> None:
        self.counts[name] += 1
        action()

    def _set(self, node: str, name: str, value: Any, must: bool) -> None:
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter
        message = Parameter(name, value=value).to_parameter_msg()
        shown = f'{node}: {name} = {value!r:.60}'
        self.last.append(shown)

        def done(future: Any) -> None:
            answer = future.result()
            result = answer.results[0] if answer is not None and answer.results else None
            if result is None or result.successful != must:
                self.problems.append(f'{shown}: {"refused" if must else "taken"}'
                                     f'{": " + result.reason[:200] if result is not None else ", no answer"}')
            elif len(result.reason) > 1000 or not result.reason.isprintable():
                self.problems.append(f'{shown}: a reason of {len(result.reason)} characters, or not printable')
        self._setters[node].call_async(SetParameters.Request(parameters=[message])).add_done_callback(done)

    def _some_node(self) -> str:
        return self._rng.choice(sorted(self._nodes))

    def _set_good(self) -> None:
        name, values = self._rng.choice(GOOD_VALUES)
        self._set(self._some_node(), name, self._rng.choice(values), True)

    def _set_bad(self) -> None:
        name, values = self._rng.choice(BAD_VALUES)
        self._set(self._some_node(), name, self._rng.choice(values), False)

    def _swap(self) -> None:
        node = self._some_node()
        self._model[node] = 1 - self._model[node]
        self._set(node, 'model', self._models[self._model[node]], True)

    def _bad_image(self) -> None:
        topic = self._rng.choice(sorted(self._images))
        publisher, compressed = self._images[topic]
        cases = _bad_compressed(self._rng) if compressed else _bad_raw(self._rng)
        name, data = self._rng.choice(cases)
        self.last.append(f'{topic}: {name}')
        publisher.publish(data)

    def _prior(self) -> None:
        topic = self._rng.choice(sorted(self._priors))
        results = [('cardboard', 0.5)] if self._rng.random() < 0.7 else []
        self._priors[topic].publish(encode_classification(types.Header(0, ''), results))

    def _bad_prior(self) -> None:
        topic = self._rng.choice(sorted(self._priors))
        results = self._rng.choice((
            [('9' * 3000, 0.5)], [('²', 0.5)], [('cardboard', float('nan'))], [('cardboard', -1.0)],
            [('glass', float('inf'))], [('', 0.1)], [('glass', 0.4), ('glass', 0.4)], [('x', 0.1)] * 5000))
        data = encode_classification(types.Header(0, ''), results)
        if self._rng.random() < 0.3:
            data = data[:self._rng.randrange(4, len(data))]
        self.last.append(f'{topic}: bad prior')
        self._priors[topic].publish(data)

    def _reconnect(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import Image
        from vision_msgs.msg import Classification
        while len(self._subscriptions) > 3:
            self._node.destroy_subscription(self._subscriptions.pop(self._rng.randrange(len(self._subscriptions))))
        kind, what = self._rng.choice(((Classification, 'classification'), (DiagnosticArray, 'uncertainty'),
                                       (Image, 'overlay')))
        topic = f'{self._rng.choice(sorted(self._priors))}/{what}'
        self._subscriptions.append(self._node.create_subscription(kind, topic, lambda _data: None, 5, raw=True))


def _bad_raw(rng: random.Random) -> List[Tuple[str, bytes]]:
    def image(**changes: Any) -> bytes:
        fields = {'header': types.Header(1, 'bad'), 'height': 24, 'width': 32, 'encoding': 'bgr8',
                  'is_bigendian': False, 'step': 96, 'data': np.zeros(24 * 96, np.uint8), **changes}
        return encode_image(types.RawImage(**fields))
    whole = image()
    return [('wrong step', image(step=7)), ('cut', whole[:rng.randrange(8, len(whole))]),
            ('unknown encoding', image(encoding='x' * 100)), ('empty', image(height=0, data=np.zeros(0, np.uint8))),
            ('a claim of 4 billion pixels', image(height=2 ** 16, width=2 ** 16, step=3 * 2 ** 16)),
            ('noise', b'\0\1\0\0' + rng.randbytes(rng.randrange(4, 400))), ('nothing', b'\0\1\0\0')]


def _bad_compressed(rng: random.Random) -> List[Tuple[str, bytes]]:
    pixels = np.random.default_rng(rng.randrange(1000)).integers(0, 256, (48, 64, 3), np.uint8)
    jpeg, png = (cv2.imencode(suffix, pixels)[1].tobytes() for suffix in ('.jpg', '.png'))

    def message(data: bytes, format: str = 'bgr8; jpeg compressed bgr8') -> bytes:
        return encode_compressed_image(types.CompressedImage(types.Header(1, 'bad'), format,
                                                             np.frombuffer(data, np.uint8)))
    place = rng.randrange(20, len(jpeg) - 20)
    return [('cut JPEG', message(jpeg[:place])), ('JPEG with a hole', message(jpeg[:place] + jpeg[place + 10:])),
            ('cut PNG', message(png[:rng.randrange(20, len(png))])), ('no picture', message(rng.randbytes(500))),
            ('no data', message(b'')), ('unknown format', message(jpeg, 'x' * 300)),
            ('cut message', message(jpeg)[:rng.randrange(8, 200)])]

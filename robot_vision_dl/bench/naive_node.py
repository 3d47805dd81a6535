"""The classifier that people write first, to compare with: everything in the subscription's callback.

A message subscription, a conversion to PIL, torchvision's transforms, the network and softmax, one publisher; nothing
is batched, fused, calibrated or counted. The network and its weights are those of the bundle.
"""
import argparse
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import rclpy
import torch
from PIL import Image as PilImage
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from torchvision import transforms
from vision_msgs.msg import Classification, ObjectHypothesis

from ..core.bundles.bundle import load_bundle
from ..core.networks.device import resolve_device
from ..ros.start import init

if TYPE_CHECKING:
    from rclpy.publisher import Publisher


class NaiveClassifier(Node):
    """See the module's docstring."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__('classifier')
        bundle = load_bundle(args.model)
        spec = bundle.preprocessing
        self._device = resolve_device(args.device)
        self._names = bundle.class_names
        self._network = bundle.load_network(self._device)
        self._transform = transforms.Compose([
            transforms.Resize(spec.resize or spec.crop), transforms.CenterCrop(spec.crop), transforms.ToTensor(),
            transforms.Normalize(spec.mean, spec.std)])
        for camera, topic in (item.split(':=') for item in args.camera):
            publisher = self.create_publisher(Classification, f'~/{camera}/decision', 10)
            compressed = args.transport == 'compressed'
            self.create_subscription(
                CompressedImage if compressed else Image, topic + ('/compressed' if compressed else ''),
                lambda message, publisher=publisher: self._on_image(message, publisher),
                10 if args.reliable else qos_profile_sensor_data)

    @torch.no_grad()
    def _on_image(self, message: Any, publisher: 'Publisher[Any]') -> None:
        if isinstance(message, CompressedImage):
            pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
            assert pixels is not None
        else:
            pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        picture = PilImage.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        logits = self._network(self._transform(picture)[None].to(self._device)).logits
        probabilities = torch.softmax(logits, dim=1)[0]
        best = int(probabilities.argmax())
        publisher.publish(Classification(header=message.header, results=[
            ObjectHypothesis(class_id=self._names[best], score=float(probabilities[best]))]))


def main() -> int:
    """Run until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--model', required=True)
    parser.add_argument('--device', default='auto')
    parser.add_argument('--camera', action='append', required=True)
    parser.add_argument('--transport', default='raw')
    parser.add_argument('--reliable', action='store_true', help='subscribe with a depth of 10; else best effort')
    args = parser.parse_args()
    init([])
    try:
        rclpy.spin(NaiveClassifier(args))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())

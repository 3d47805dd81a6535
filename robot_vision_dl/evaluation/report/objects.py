"""Where images, detections and labelled objects of a camera went, for people."""
from typing import Any, List, Mapping

from ...data.object_labels import LEAST_OVERLAP


def objects_sentence(camera: Mapping[str, Any]) -> str:
    """What one entry of ``objects`` in ``metrics.json`` says."""
    images = camera['paired'] + sum(camera['images_alone'].values())
    parts = [f'{camera["paired"]} of {images} images have detections ({camera["detections"]}, '
             f'of {camera["tracks"]} tracks)']
    if camera['nearest']:
        parts.append(f'{camera["nearest"]} of these by the nearest stamp')
    parts += [f'images without: {_counted(camera["images_alone"])}'] if camera['images_alone'] else []
    parts += [f'detections without an image: {_counted(camera["arrays_alone"])}'] if camera['arrays_alone'] else []
    if camera['labelled_images']:
        again = f', {camera["again"]} more of the same objects' if camera['again'] else ''
        parts.append(f'{camera["labelled"]} labelled objects in {camera["labelled_images"]} images: {camera["missed"]} '
                     f'missed by the detector, {camera["false_alarms"]} false alarms{again} (IoU {LEAST_OVERLAP:g})')
    elif camera['labels']:
        parts.append(f'no image has labels on {camera["labels"]}')
    return '; '.join(parts)


def _counted(counts: Mapping[str, int]) -> str:
    found: List[str] = [f'{count} {reason}' for reason, count in counts.items()]
    return ', '.join(found)

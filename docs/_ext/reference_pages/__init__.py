"""Markdown of the reference pages, made from the package's code; needs no Sphinx.

A module a page, each with functions without arguments that return Markdown; :data:`PARTS` names them as pages ask for
them: ``<!-- generated: parameters classifier -->``.
"""
from typing import Callable, Dict

from . import bundle, commands, diagnostic_values, launch, options, report, topics

PARTS: Dict[str, Callable[[], str]] = {
    'commands': commands.all_commands,
    'parameters classifier': options.classifier,
    'parameters action_gate': options.action_gate,
    'parameters detector': options.detector,
    'parameters trainer': options.trainer,
    'training file': options.training_file,
    'bag limits': options.bag_limits,
    'launch files': launch.launch_files,
    'topics': topics.topics,
    'uncertainty values': diagnostic_values.uncertainty_values,
    'uncertainty values of objects': diagnostic_values.object_values,
    'diagnostics of detections': diagnostic_values.detection_values,
    'reasons of objects': diagnostic_values.object_reasons,
    'diagnostics of a camera': diagnostic_values.camera_values,
    'diagnostics of doubts': diagnostic_values.doubt_values,
    'diagnostics of the node': diagnostic_values.model_values,
    'reasons': diagnostic_values.drop_reasons,
    'bundle.json': bundle.bundle_json,
    'bundle example': bundle.example,
    'metrics.json': report.metrics_json,
    'gates': report.gate_names,
    'frames.csv': report.frames_csv,
}

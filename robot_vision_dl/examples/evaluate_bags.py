"""Judge a model on bags from Python: what the figures are called, and how to compute one of one's own.

``python -m robot_vision_dl.examples.evaluate_bags recording/ --model efficientnet_lite0_imagenet``
"""
import argparse
import sys
from typing import List, Optional

import numpy as np

from ..core.config import ClassifierConfig, with_values
from ..core.errors import RobotVisionError
from ..evaluation.evaluator import Evaluation, evaluate
from ..evaluation.options import EvaluationOptions
from ..evaluation.table import ACCEPTED


def surest_mistake(evaluation: Evaluation, model: str) -> str:
    """A figure of one's own: rows are one a frame, as a numpy structured array."""
    table = evaluation.tables[model]
    wrong = (table['outcome'] == ACCEPTED) & table.known & (table['fused_predicted'] != table['target'])
    if not wrong.any():
        return 'it never acted on a wrong label'
    place = np.flatnonzero(wrong)[table['trust'][wrong].argmax()]
    row = table.rows[place]
    return (f'{table.recordings[row["recording"]]} {table.topics[row["topic"]]}, {table.seconds()[place]:.1f} s: '
            f'{table.label(int(row["target"]))} called {table.class_names[row["fused_predicted"]]} at '
            f'{row["trust"]:.2f}')


def main(arguments: Optional[List[str]] = None) -> int:
    """Evaluate, print a few figures, write the report if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('bags', nargs='+')
    parser.add_argument('--model', default=ClassifierConfig().model)
    parser.add_argument('--out', help='folder for the report')
    args = parser.parse_args(arguments)
    # What a deployment chooses: by the names of the node's parameters.
    deployment = with_values(ClassifierConfig(), {'decision.abstain_cost': 0.3})
    try:
        evaluation = evaluate(args.bags, [args.model], EvaluationOptions(deployment))
    except RobotVisionError as error:
        print(error, file=sys.stderr)
        return 2
    model, figures = next(iter(evaluation.metrics['models'].items()))
    print(f'{model}: {figures["frames"]["decided"]} frames, decisions: {figures["decisions"]}')
    if figures['frame']:
        print(f'accuracy {figures["frame"]["accuracy"]:.3f}, interval {figures["intervals"]["figures"]["accuracy"]}')
        print(f'surest mistake: {surest_mistake(evaluation, model)}')
    if args.out:
        evaluation.save(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())

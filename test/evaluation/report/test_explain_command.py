"""The command under a mistake leads to just the frame that the mistake is about."""
import dataclasses
import html
import re
import shlex

import numpy as np
from evaluation_samples import T0_NS, labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.example_frames import Key
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.recordings import open_recordings
from robot_vision_dl.evaluation.report.explain_command import explain_command
from robot_vision_dl.evaluation.report.report import report_html
from robot_vision_dl.explain.sources import picture_at


def test_each_frame_of_a_bag_is_found_again_at_its_time(tmp_path):
    """Two cameras, times that are no whole milliseconds, the last frame at the bag's very end; a name full of traps."""
    bag = tmp_path / "it's @ $(x) & <b>"
    stamps = [T0_NS + number * 33_333_333 + 7 for number in range(12)]
    with ImageBagWriter(bag) as writer:
        for number, stamp_ns in enumerate(stamps):
            for camera, topic in enumerate(('/left', '/right')):
                writer.write_raw(topic, stamp_ns, np.full((8, 8, 3), 10 * number + 5 * camera, np.uint8))
    [recording] = open_recordings([bag], EvaluationOptions())
    with BagReader(bag) as reader:
        received = [(message.topic, message.receive_ns) for message in reader.image_messages(['/left', '/right'])]
    assert len(received) == 24
    seen = {'/left': 0, '/right': 0}
    for topic, receive_ns in received:
        number = seen[topic]
        seen[topic] += 1
        command = explain_command('-m', recording, Key(recording.name, topic, number), receive_ns)
        program, verb, model, source, option, name = shlex.split(command)
        assert (program, verb, model, option, name) == ('robot-vision', 'explain', './-m', '--topic', topic)
        assert picture_at(source, name).picture.pixels.max() == 10 * number + 5 * (topic == '/right')
    assert explain_command('m', recording, Key(recording.name, '/left', 0, 3), received[0][1]) == ''  # of an object
    unseen = dataclasses.replace(recording, path=tmp_path / 'a\x1b[2Jb')
    assert explain_command('m', unseen, Key(recording.name, '/left', 0), received[0][1]) == ''


def test_mistakes_of_the_report_have_it_unless_parts_of_pictures_were_judged(tmp_path):
    bag = labelled_bag(tmp_path / '<i>bag', 30)
    config = with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.99,
                                              'decision.false_unknown_rate': 0.0})
    found = evaluate([bag], [str(small_model(tmp_path / 'one'))], EvaluationOptions(config, run=RunOptions(draws=100)))
    text = report_html(found)
    part = text[text.index('id="m0-foreign"'):]
    part = part[:part.index('</section>')]
    commands = re.findall('<code class="command">(.*?)</code>', part)
    assert commands and len(commands) == part.count('<figure') and '<i>' not in text
    for command in commands:
        source = shlex.split(html.unescape(command))[3]
        assert source.startswith(f'{bag}@') and picture_at(source).picture.pixels.size
    options = dataclasses.replace(found.options, deployment=with_values(config, {'regions_of_interest': '8x8+2+2'}))
    assert 'class="command"' not in report_html(dataclasses.replace(found, options=options))

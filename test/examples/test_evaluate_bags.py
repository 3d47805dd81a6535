"""The example of the evaluator's API."""
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.examples.evaluate_bags import main


def test_it_prints_figures_and_writes_the_report(tmp_path, capsys):
    bag, model = labelled_bag(tmp_path / 'bag', 36), small_model(tmp_path / 'small')
    assert main([str(bag), '--model', str(model), '--out', str(tmp_path / 'out')]) == 0
    text = capsys.readouterr().out
    assert 'small: 36 frames' in text and 'accuracy' in text and 'surest mistake' in text
    assert (tmp_path / 'out' / 'report.html').is_file()
    assert main([str(tmp_path / 'none')]) == 2

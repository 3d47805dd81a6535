"""``robot-vision explain`` as a user runs it."""
import os
import re
import shutil

import cv2
import numpy as np
import pytest
from evaluation_samples import labelled_bag, small_model
from labelled_samples import pattern

from robot_vision_dl.cli.main import main


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    """A model and pictures, one with a name that would be a script."""
    folder = tmp_path_factory.mktemp('explain')
    small_model(folder / 'small')
    for place, name in enumerate(('one.png', '<script>alert(1)<&.png')):
        cv2.imwrite(str(folder / name), pattern(place))
    for place in range(6):
        data = folder / 'data' / ('cup', 'mug')[place % 2]
        data.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(data / f'{place}.png'), pattern(place))
    return folder


def explained(here, *arguments) -> str:
    page = here / 'page.html'
    assert main(['explain', str(here / 'small'), *map(str, arguments), '--out', str(page)]) == 0
    return page.read_text(encoding='utf-8')


def test_page_of_pictures(here, capsys):
    page = explained(here, here / 'one.png', here / '<script>alert(1)<&.png')
    assert 'page.html (0.' in capsys.readouterr().err
    assert '<script' not in page and '&lt;script&gt;alert(1)&lt;&amp;.png' in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)  # nothing from elsewhere
    assert re.findall(r'href="#(picture-\d)"', page) == re.findall(r'id="(picture-\d)"', page) == [
        'picture-1', 'picture-2']
    assert page.count('alt="evidence for ') >= 6 and page.count('alt="cost of covering for ') >= 6
    assert 'What it is like' not in page


def test_names_that_are_no_text_or_turn_it_round_are_written_out(here, tmp_path):
    pictures = []
    for name in (b'\xff\xfe.png', '\u202egpj.exe.png'.encode()):
        pictures.append(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        shutil.copy(here / 'one.png', pictures[-1])
    page = explained(here, *pictures)
    assert '\u202e' not in page and '\\u202egpj.exe.png' in page and '\\udcff\\udcfe.png' in page


def test_a_name_of_any_length_is_answered_in_a_sentence(here, capsys):
    assert main(['explain', str(here / 'small'), 'a' * 5000]) == 2
    assert 'mined.sqlite' not in capsys.readouterr().err


def test_frames_that_it_is_like(here, user_cache):
    page = explained(here, here / 'data' / 'cup' / '0.png', '--data', here / 'data')
    assert 'among the data, as 0.png, and left out' in page
    assert f'robot-vision explain {here / "small"} {here / "data" / "cup" / "2.png"}</code>' in page
    rows = re.findall(r'<div class="near">(.*?)</div>', page[:page.index('What its most active')], re.S)
    assert len(rows) == 2  # by features and by pixels
    for row in rows:
        near, names = zip(*re.findall(r'</b> (-?[\d.]+)<br>(\d\.png)<', row))
        assert sorted(names) == [f'{place}.png' for place in range(1, 6)]
        assert list(map(float, near)) == sorted(map(float, near), reverse=True)
    assert 'Where it lies among the classes' in page and '6 frames' in page
    channels = re.findall(r'<h3>(\w+):(\d+)</h3>\n<div class="near">(.*?)</div>', page, re.S)
    assert len({(layer, channel) for layer, channel, _ in channels}) >= 4
    for _, _, row in channels:
        _, *others = map(float, re.findall(r'</b> (-?[\d.]+)<', row))
        assert others == sorted(others, reverse=True) and len(others) == 5 and '>0.png' not in row


def test_wrong_data_is_told_before_anything_is_computed(here, tmp_path, user_cache, capsys):
    labelled = labelled_bag(tmp_path / 'drive')
    (labelled / 'labels.yaml').write_text((labelled / 'labels.yaml').read_text().replace('mug', 'spoon'))
    assert main(['explain', str(here / 'small'), str(here / 'one.png'), '--data', str(labelled)]) == 2
    told = capsys.readouterr().err
    assert "'spoon' is not among the classes" in told and 'explaining' not in told


def test_page_of_a_network(here):
    assert 'alt="made for ' not in explained(here, '--visualise', 'none')
    page = explained(here, '--visualise')  # as without it
    assert 'backbone.' in page and 'First-layer filters' in page and 'receptive field' in page
    assert page.count('alt="made for ') >= 3 and 'suspected, from the weights alone' in page
    assert 'nothing is known of what' in page.lower() and 'Templates' not in page  # no start is named; no data is given


def test_page_of_a_network_with_data(here, user_cache):
    page = explained(here, '--data', here / 'data', '--visualise', 'cup', 'c3:2')
    assert page.count('alt="made for ') == 2 and 'alt="made for c3:2"' in page
    assert '6 pictures that were looked at' in page and page.count('alt="template of ') == 2


def test_what_cannot_be_looked_into_is_told(here):
    page = here / 'page.html'
    assert main(['explain', f'ensemble:{here / "small"},{here / "small"}', '--out', str(page)]) == 0
    text = page.read_text(encoding='utf-8')
    assert 'is an ensemble: layers, filters' in text and text.count('<td class="l">lenet5</td>') == 2


def test_linear_program_shows_its_operators_and_templates(tmp_path):
    import torch
    from graph_samples import program_file
    torch.manual_seed(0)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3))
    file = program_file(tmp_path / 'net.pt2', linear)
    (tmp_path / 'classes.txt').write_text('one\ntwo\nthree\n')
    assert main(['models', 'import', str(file), '--classes', str(tmp_path / 'classes.txt'), '--name', 'mine', '--into',
                 str(tmp_path), '--resize', '16', '--mean', '.5', '.5', '.5', '--std', '.25', '.25', '.25']) == 0
    page = tmp_path / 'page.html'
    assert main(['explain', str(tmp_path / 'mine'), '--out', str(page)]) == 0
    text = page.read_text(encoding='utf-8')
    assert 'linear.default' in text and 'This model is linear in its pixels' in text
    assert text.count('alt="template of ') == 3 and 'need layers that can be looked into' in text
    assert main(['explain', str(tmp_path / 'mine'), '--visualise', 'one', '--out', str(page)]) == 2


def test_doubtful_intervals_of_a_queue(here, tmp_path):
    from labelled_queue import PERIOD, T0, TOPIC, queue_of, write_frames
    stamps = [T0 + 5 * PERIOD + place * PERIOD for place in range(9)]  # stamps that are not the times of receipt
    bag = write_frames(tmp_path / 'hall', {TOPIC: stamps}, [T0 + place * PERIOD for place in range(9)])
    rows = [('hall', TOPIC, stamps[start], stamps[start + 3]) for start in (0, 3)]
    queue = queue_of(tmp_path / 'queue', {'hall': bag}, rows)
    page = explained(here, queue, '--most', '2')
    assert page.count('In the queue as uncertain, doubt 0.50 of 1, one of 9 frames.') == 2
    assert 'interval 1: hall, /camera/image_raw at 0.500 s' in page and 'small picture' not in page
    alone = explained(here, f'{bag}@0.0')  # the first frame, by its time of receipt
    seen = re.search(r'alt="the picture as the network was shown it" src="([^"]*)"', alone).group(1)
    assert seen in page
    bag.rename(tmp_path / 'moved')
    gone = explained(here, queue, '--most', '1')
    assert 'From the small picture of the queue' in gone and gone.count('In the queue as') == 1


def test_frame_of_a_bag(here, tmp_path, capsys):
    bag = labelled_bag(tmp_path / 'drive')
    page = explained(here, f'{bag}@2.03')
    assert '/camera/image_raw at 2.000 s' in page
    assert main(['explain', str(here / 'small'), f'{bag}@99', '--out', str(tmp_path / 'no.html')]) == 2
    assert '99 s is not in it' in capsys.readouterr().err and not (tmp_path / 'no.html').exists()


def test_a_bag_without_a_time_and_a_place_that_is_a_folder_are_told(here, tmp_path, capsys):
    bag = labelled_bag(tmp_path / 'drive', 6)
    file = next(bag.glob('*.mcap'))
    (tmp_path / 'tour.mp4').write_bytes(b'?')
    (tmp_path / 'user@host').mkdir()
    for wrong, words in ((bag, f'is a folder, and a picture is wanted; a frame of a bag is BAG@SECONDS, {bag}@1.5'),
                         (file, f'is a bag, and a picture is wanted; a frame of a bag is BAG@SECONDS, {file}@1.5'),
                         (tmp_path / 'tour.mp4', 'is a video, and a picture is wanted; `robot-vision bag from-video`'),
                         (tmp_path / 'user@host' / 'x.jpg', 'no such file'),
                         (tmp_path / 'gone.mp4', 'gone.mp4: cannot be read'), (f'{bag}@soon', 'is no time')):
        assert main(['explain', str(here / 'small'), str(wrong), '--out', str(tmp_path / 'no.html')]) == 2
        assert words in capsys.readouterr().err
    assert main(['explain', str(here / 'small'), f'{bag}@0', '--out', str(tmp_path)]) == 2
    assert f'--out {tmp_path}: is a folder; name the page in it, {tmp_path}/page.html' in capsys.readouterr().err


@pytest.mark.parametrize('wrong, words', [
    (['nowhere.png'], 'nowhere.png'), (['bag@soon'], 'is no bag that is there'), (['x.png'] * 21, 'up to 20')])
def test_wrong_input_is_told(here, tmp_path, capsys, wrong, words):
    assert main(['explain', str(here / 'small'), *wrong, '--out', str(tmp_path / 'no.html')]) == 2
    assert words in capsys.readouterr().err


def test_planted_shortcut_is_where_the_evidence_is(tmp_path):
    """A sticker that only one class has is what the class rests on, and not the thing."""
    import torch

    from robot_vision_dl.core.networks.evidence import LastMaps
    from robot_vision_dl.core.networks.evidence_place import points_inside
    from robot_vision_dl.core.networks.network import build_network
    from robot_vision_dl.explain.occlusion import occlusion
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network = build_network('resnet20_cifar', 2)

    def pictures(count):
        pixels = random.normal(0, .3, (count, 3, 64, 64)).astype(np.float32)
        pixels[:, :, 20:44, 20:44] += random.normal(0, 1, (count, 3, 1, 1))  # the thing, the same for both classes
        places = random.integers(0, 2, (count, 2)) * 48
        for one, (y, x) in zip(pixels[::2], places[::2]):
            one[0, y:y + 16, x:x + 16] = 3
            one[1:, y:y + 16, x:x + 16] = -1
        return torch.from_numpy(pixels), torch.tensor([0, 1] * (count // 2)), places
    pixels, labels, _ = pictures(160)
    network.train()  # the running statistics
    with torch.no_grad():
        network(pixels)
    network.eval()
    with torch.no_grad():
        features = network(pixels).features
    optimizer = torch.optim.LBFGS(network.head.parameters(), max_iter=60, line_search_fn='strong_wolfe')

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.head(features), labels)
        (loss + 1e-3 * network.head.weight.square().sum()).backward()
        return loss
    optimizer.step(closure)
    pixels, labels, places = pictures(40)
    with torch.no_grad():
        assert (network(pixels).logits.argmax(1) == labels).float().mean() > .9
    evidence = LastMaps(network, pixels).evidence(pixels, [0]).maps[:, 0].numpy()
    boxes = [(x / 64, y / 64, (x + 16) / 64, (y + 16) / 64) for y, x in places]
    shown = [points_inside(evidence[place], boxes[place]) for place in range(0, 40, 2)]
    covered = [points_inside(occlusion(network, pixels[place:place + 1], [0], patch=2).maps[0].numpy(), boxes[place])
               for place in range(0, 40, 8)]
    assert np.mean(shown) > .8 and np.mean(covered) > .7

"""What is there under a name or path now, without reading it."""
import json
import subprocess
import sys

from node_harness import small_bundle

from robot_vision_dl.core.bundles.bundle import identity_of, load_bundle


def test_identity_is_of_what_is_there_now_and_empty_where_there_is_no_folder(tmp_path):
    folder = small_bundle(tmp_path / 'model')
    before = load_bundle(folder)
    assert identity_of(folder) == before.identity
    description = folder / 'bundle.json'
    values = json.loads(description.read_text())
    description.write_text(json.dumps({**values, 'abstain_cost': 0.25}))
    assert identity_of(str(folder)) not in ('', before.identity)
    for source in ('torchvision:resnet18', 'timm:resnet18', 'ensemble:a,b', str(tmp_path / 'no'), '', 'a\0b'):
        assert identity_of(source) == ''
    assert identity_of('squeezenet1_1_imagenet') == load_bundle('squeezenet1_1_imagenet').identity


def test_asking_for_it_imports_no_network():
    code = ('import sys; from robot_vision_dl.core.bundles.bundle import identity_of; '
            "identity_of('torchvision:resnet18'); print('torchvision' in sys.modules)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == 'False'

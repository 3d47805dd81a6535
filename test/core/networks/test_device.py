"""Names of devices."""
import pytest
import torch

from robot_vision_dl.core.errors import DeviceError
from robot_vision_dl.core.networks.device import available_devices, resolve_device


def test_auto_is_the_first_that_is_there():
    assert resolve_device('auto') == torch.device(available_devices()[0])
    assert resolve_device('cpu') == torch.device('cpu')
    assert available_devices()[-1] == 'cpu'


def test_cuda_means_the_first_gpu_where_there_is_one():
    if torch.cuda.is_available():
        assert resolve_device('cuda') == torch.device('cuda:0')
        with pytest.raises(DeviceError, match='no such GPU; found here: cuda:0'):
            resolve_device('cuda:99')
    else:
        with pytest.raises(DeviceError, match=r"device 'cuda': .*; found here: .*cpu; .*use auto or cpu"):
            resolve_device('cuda')


@pytest.mark.parametrize('name', ['gpu', '', 'cuda:x', 'CPU', 'cpu:0', 'cuda:-1'])
def test_names_that_mean_nothing_are_refused(name):
    with pytest.raises(DeviceError, match=r'expected auto, cpu, cuda, cuda:<n> or mps; found here: '):
        resolve_device(name)

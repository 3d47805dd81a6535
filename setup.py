"""Install with `colcon build` on a robot, or with `pip install .` anywhere; both give the same files."""
import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'robot_vision_dl'
ROOT = Path(__file__).resolve().parent

# The lower bounds are run by `make test-oldest`, on Python 3.10; several are what Ubuntu 22.04 (ROS 2 Humble) brings.
# torch and torchvision only fit together in pairs, so they must come from the same place in one go.
REQUIREMENTS = [
    'jinja2>=3.0',
    'numpy>=1.21.2',
    'opencv-python>=4.5.4.60',
    'pillow>=8.4',
    'pyyaml>=5.4.1',
    'rosbags>=0.11.7',
    'safetensors>=0.4',
    'torch>=2.1',
    'torchvision>=0.16',
    'tqdm>=4.57',
]
EXTRAS = {
    # ROS 2 where none is installed; then run `robot-vision build-msgs`.
    'ros': [
        'ros-rclpy[fastrtps]',
        'ros-builtin-interfaces',
        'ros-diagnostic-msgs',
        'ros-geometry-msgs',
        'ros-lifecycle-msgs',
        'ros-rcl-interfaces',
        'ros-rosgraph-msgs',
        'ros-sensor-msgs',
        'ros-std-msgs',
        'ros-std-srvs',
    ],
    # `robot-vision train`. rosdep has no keys for Lightning and TensorBoard: on a robot, pip brings them too.
    'train': [
        'lightning>=2.2',
        'matplotlib>=3.5',
        'tensorboard>=2.11',
    ],
    # `robot-vision tune`
    'tune': [
        'optuna>=3.2',
    ],
    # What runs a network on a CPU two to four times as fast as torch, what turns it into that form, and bundles whose
    # network is an ONNX file. Installed where there are wheels; all but the latter works without. By cykooz.resizer,
    # which resizes pictures as torch does, a node whose network ONNX Runtime runs does without torch.
    'onnx': [
        'cykooz.resizer>=4.0.1; platform_machine in "x86_64 AMD64"',
        'onnx>=1.15; platform_machine in "x86_64 aarch64 AMD64 arm64"',
        'onnxruntime>=1.17; platform_machine in "x86_64 aarch64 AMD64 arm64"',
        'onnxscript>=0.1; platform_machine in "x86_64 aarch64 AMD64 arm64"',
    ],
    # `timm:NAME` as an architecture or model
    'timm': [
        'timm>=1.0',
    ],
    'openvino': [
        'onnx>=1.15',
        'onnxscript>=0.1',
        'openvino>=2024.0',
    ],
    # `robot-vision evaluate --cluster`
    'cluster': [
        'dask[distributed]>=2023.5',
    ],
    # `robot-vision label`
    'label': [
        'starlette>=0.27',
        'uvicorn>=0.22',
    ],
    'test': [
        'dask[distributed]>=2023.5',
        'hypothesis>=6.36',
        'mcap>=1.1',
        'mcap-ros2-support>=0.5',
        'mypy>=1.14',
        'playwright>=1.40',
        'psutil>=5.9',
        'pytest>=6.2.5',
        'pytest-xdist>=3.2',
        'ruff',
        'scikit-learn>=1.1',
        'starlette>=0.27',
        'torchmetrics>=1.0',
        'types-PyYAML',

        'types-tqdm',
        'uvicorn>=0.22',
    ],
    # `make docs`
    'docs': [
        'furo>=2023.9',
        'myst-parser>=2.0',
        'sphinx>=7.0',
        'sphinx-copybutton>=0.5',
    ],
    # What some tests compare with; they skip without.
    'reference': [
        'captum>=0.7',
        'cleanlab>=2.6',
        'datasets>=2.14',
        'globox>=2.6',
        'grad-cam>=1.5',
        'laplace-torch>=0.2',
        'mapie>=1.0',
        'pycocotools>=2.0.7',
        'pytorch-ood>=0.2',
        'scipy',
        'supervision>=0.25',
        'timm>=1.0',
    ],
}


def version() -> str:
    """The version that the package itself gives."""
    text = (ROOT / NAME / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def tree(folder: str, destination: str) -> list:
    """All files below ``folder``, each with the folder that it is installed in: subfolders stay subfolders."""
    files = {}
    for path in sorted((ROOT / folder).rglob('*')):
        if path.is_file() and '__pycache__' not in path.parts:
            path = path.relative_to(ROOT)
            files.setdefault(str(destination / path.parent), []).append(str(path))
    return sorted(files.items())


SHARE = Path('share') / NAME

setup(
    name=NAME,
    version=version(),
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed'], f'{NAME}.evaluation.report': ['templates/*'],
                  f'{NAME}.labelling.server': ['page/*'],
                  f'{NAME}.explain': ['templates/*'],
                  f'{NAME}.ros.interfaces': ['*.cmake', 'vision_msgs/*', 'vision_msgs/msg/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (str(SHARE), ['package.xml']),
        (f'lib/{NAME}', [str(path.relative_to(ROOT))
                         for path in sorted((ROOT / NAME / 'ros' / 'executables').iterdir())]),
        *tree('launch', SHARE),
        *tree('config', SHARE),
        *tree('models', SHARE),
    ],
    python_requires='>=3.10',
    install_requires=REQUIREMENTS + EXTRAS['onnx'],
    extras_require=EXTRAS,
    zip_safe=False,
    maintainer='robot_vision_dl maintainers',
    maintainer_email='maintainers@users.noreply.github.com',
    description='Camera images to labels that a robot may act on',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=['ros2', 'robotics', 'image classification', 'uncertainty', 'out-of-distribution detection'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    license='Apache-2.0',
    entry_points={'console_scripts': [f'robot-vision = {NAME}.cli.main:main']},
)

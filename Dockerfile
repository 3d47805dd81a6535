# An image for a robot: the package in a workspace on ROS 2, with PyTorch from pip.
#
#   docker build -t robot_vision_dl .
#   docker run --rm --net=host --ipc=host robot_vision_dl \
#     ros2 launch robot_vision_dl classifier.launch.py image:=/camera/image_raw
#
# --net=host lets it find the robot's other nodes, --ipc=host lets Fast DDS pass large images by shared memory. Nodes
# outside of the container that run as another user than root are reached by UDP only, unless both are the same:
# --user "$(id -u):$(id -g)" -e HOME=/tmp.
#
# With a GPU: --build-arg TORCH_INDEX=https://pypi.org/simple, and `docker run --gpus all`. On a Jetson start from an
# image of NVIDIA's that has PyTorch, and leave that step out.
#
# Not built by us: there was no Docker where this was written. Each step is one that docs/how-to/robot.md has, too.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

# For processors only: a tenth of the size of the build for CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# Dependencies first, from package.xml alone: editing the sources does not repeat these steps.
WORKDIR /workspace
COPY package.xml src/robot_vision_dl/
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install -y --from-paths src --ignore-src --dependency-types exec \
    && rm -rf /var/lib/apt/lists/*
# What no key of rosdep stands for. cv_bridge is compiled for the distribution's NumPy, which therefore stays. pip of
# Ubuntu 22.04 does not know --break-system-packages, the variable is ignored there.
ENV PIP_BREAK_SYSTEM_PACKAGES=1
RUN python3 -c "import numpy; print(f'numpy=={numpy.__version__}')" > constraints.txt \
    && python3 -m pip install --no-cache-dir -c constraints.txt --index-url "${TORCH_INDEX}" 'torch>=2.1' 'torchvision>=0.16' \
    && python3 -m pip install --no-cache-dir -c constraints.txt 'safetensors>=0.4' 'rosbags>=0.11.7' \
    && (python3 -m pip install --no-cache-dir -c constraints.txt onnx onnxruntime onnxscript \
        || echo 'without ONNX Runtime: networks run in torch alone')

COPY . src/robot_vision_dl/
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" \
    && colcon build --packages-select robot_vision_dl \
    && . install/setup.sh \
    && robot-vision models verify \
    && sed -i '$isource "/workspace/install/setup.bash" --' /ros_entrypoint.sh

CMD ["ros2", "launch", "robot_vision_dl", "classifier.launch.py"]

"""Run by an interpreter that has the distribution's cv_bridge: convert what it supports, and save it.

Usage: ``python3 cv_bridge_reference.py IN.npz OUT.npz``; with ``--check`` instead, only say whether a compiled
cv_bridge can be imported. Each array of IN is named ``source|target|...`` and converted from source to target;
``passthrough|...`` arrays are the bytes of a message, whose fields are in the name. A conversion that cv_bridge refuses
is left out of OUT.
Standard library, numpy and cv_bridge only: it runs outside our environment.
"""
import sys
from types import SimpleNamespace

import numpy as np
from cv_bridge.boost.cv_bridge_boost import cvtColor2


def _passthrough(bridge, fields, data):
    encoding, height, width, step, big = fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[4] == '1'
    if 'step' not in bridge.imgmsg_to_cv2.__code__.co_names:
        # cv_bridge before 3.0 ignores step in Python; its C++ does not. Give it rows without padding.
        row = width * int(fields[5])
        data = np.ascontiguousarray(data.reshape(height, step)[:, :row])
        step = row
    message = SimpleNamespace(encoding=encoding, height=height, width=width, step=step, is_bigendian=int(big),
                              data=data.tobytes())
    return bridge.imgmsg_to_cv2(message)


def main():
    if sys.argv[1:] == ['--check']:
        return
    from cv_bridge import CvBridge
    bridge = CvBridge()
    found = {}
    with np.load(sys.argv[1]) as given:
        for name in given.files:
            source, target, *fields = name.split('|')
            try:
                if source == 'passthrough':
                    found[name] = np.ascontiguousarray(_passthrough(bridge, [target, *fields], given[name]))
                else:
                    found[name] = cvtColor2(given[name], source, target)
            except (RuntimeError, TypeError):
                pass
    np.savez(sys.argv[2], **found)


if __name__ == '__main__':
    main()

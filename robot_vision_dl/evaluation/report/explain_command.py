"""The command that explains a frame of an evaluation, as text to copy into a shell."""
import shlex

from ..example_frames import Key
from ..recordings import Recording

_PROGRAM = 'robot-vision', 'explain'


def explain_command(model: str, recording: Recording, key: Key, receive_ns: int) -> str:
    """``robot-vision explain MODEL BAG@SECONDS``, or with the file of a picture; quoted for a POSIX shell.

    Args:
        model: as it was asked for.
        recording: that holds the frame.
        key: of the frame.
        receive_ns: when its image was received, ns.

    Returns:
        The command; empty for an object of a frame, which ``explain`` cannot cut out, and where a name holds what
        cannot be seen or typed.
    """
    if key.object >= 0:
        return ''
    if recording.pictures:
        words = [model, str(recording.pictures[key.number].path)]
    else:
        words = [model, f'{recording.path}@{_seconds(receive_ns - recording.start_ns, recording.duration_ns)}']
        if len(recording.images) > 1:
            words += ['--topic', key.topic]
    command = shlex.join([*_PROGRAM, _plain(words[0]), _plain(words[1]), *words[2:]])
    return command if command.isprintable() else ''


def _plain(word: str) -> str:
    """A name that the command line would take for an option, as a path."""
    return f'./{word}' if word.startswith('-') else word


def _seconds(offset_ns: int, duration_ns: int) -> str:
    """At or just after a frame, as ``explain`` takes the last one until then; never beyond the end of the bag."""
    up_ns = -(-offset_ns // 10**6) * 10**6
    at_ns = up_ns if up_ns <= duration_ns else offset_ns
    text = f'{at_ns // 10**9}.{at_ns % 10**9:09d}'.rstrip('0')
    return f'{text}0' if text.endswith('.') else text

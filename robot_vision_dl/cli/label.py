"""``robot-vision label``: the page to label a queue on."""
import argparse
from typing import TYPE_CHECKING, Callable, List

from ..core.text.number_options import whole
from ..core.text.printable import printable

if TYPE_CHECKING:
    from ..labelling.server.desk import Desk

HELP = 'open a page to label what `robot-vision mine` found'
EXAMPLES = """examples:
  robot-vision label QUEUE                            opens the browser
  robot-vision label QUEUE --no-browser --port 8765   prints the link alone
  ssh -L 8765:127.0.0.1:8765 robot                    beside it, on your computer: then open the link there

The page is served to this machine alone, and to the browser that opens the link: it is good once, Enter in the terminal
makes another. What the page calls saved is on the disk, in QUEUE/labels.sqlite; Ctrl+C ends the program."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('queue', metavar='QUEUE', help='folder that `robot-vision mine` made')
    parser.add_argument('--port', type=whole(1, 65535), metavar='N',
                        help='of 127.0.0.1; default: one that is always the same for the same QUEUE')
    parser.add_argument('--who', metavar='NAME', help='who labels; default: the name that you are logged in by')
    parser.add_argument('--no-browser', action='store_true', help='print the link, and open nothing')


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..core.class_name import name_problem
    from ..core.errors import ConfigError, OutputError, RequirementError
    from ..core.files.user_path import user_path
    from ..core.requirements import pip_install
    who = _login() if args.who is None else args.who
    problem = name_problem(who) if who.strip() else 'is empty'
    if problem is not None:
        raise ConfigError(f'--who: {problem}')
    folder = user_path(args.queue)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise RequirementError(f'the page needs Starlette and uvicorn ({error}): '
                               f'`{pip_install(["robot_vision_dl[label]"])}`') from error
    from ..labelling.server.serve import on_enter, serve

    opened: List['Desk'] = []

    def ready(desk: 'Desk', link: Callable[[], str]) -> None:
        opened.append(desk)
        counts = desk.counts()
        print(f'{counts["open"]} of {counts["queue"]} are to be labelled, in {args.queue}, by {who}. Open\n',
              flush=True)

        def show() -> None:
            print(f'  {link()}\n\nin a browser of this machine. The link is good once; Enter makes another, Ctrl+C '
                  'ends.', flush=True)
        if args.no_browser or not _open(link):
            show()
        on_enter(show)
    try:
        serve(folder, who, args.port, ready)
    except KeyboardInterrupt:
        pass
    place = folder / 'labels.sqlite'
    if not all(desk.is_in_place for desk in opened):
        raise OutputError(f'{printable(place)}: was removed, moved or replaced while the page was open; what was '
                          'called saved before is where it went')
    print(f'\nended; all that the page called saved is in {place}')
    return 0


def _login() -> str:
    import getpass
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for this number, as in some containers
        return 'somebody'


def _open(link: Callable[[], str]) -> bool:
    """Open a browser, if there is a screen for one."""
    import os
    import webbrowser
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY') or os.environ.get('BROWSER')):
        return False
    address = link()
    if not webbrowser.open(address):
        return False
    print(f'  {address}\n\nIt is opened in the browser. The link is good once; Enter makes another, Ctrl+C ends.',
          flush=True)
    return True

"""Routes of the page and what it asks for."""
import asyncio
import json
import time
from typing import Any, Callable, Dict

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ...core.errors import ConfigError
from ...core.text.json_text import parse_json
from .access import Access
from .desk import MOST_EVENTS, Desk
from .guard import Guard
from .meter import Meter
from .page_files import page_files
from .problems import ApiError

MOST_ITEMS = 200
_LONGEST_WAIT_S = 25.0
_LOOK_S = .25
_TAB = 64
_PICTURES = 'private, max-age=86400, immutable'


def make_app(desk: Desk, access: Access, port: int, is_ending: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The application.

    Args:
        desk: the queue.
        access: who may use it.
        port: on which it listens.
        is_ending: whether the server ends, so that whoever waits for changes is let go.
    """
    pages = page_files()
    meter = Meter(desk)

    def page(request: Request) -> Response:
        name = request.path_params.get('name', 'index.html')
        file = pages.get(name)
        if file is None:
            raise ApiError(404, 'there is no such page')
        return Response(file.content, media_type=file.kind, headers={'Cache-Control': 'no-cache'})

    def queue(request: Request) -> Response:
        return _json(desk.queue())

    def items(request: Request) -> Response:
        query = request.query_params
        return _json(desk.items(query.get('view', 'queue'), query.get('after') or None, query.get('before') or None,
                                _whole(request, 'limit', 50, 1, MOST_ITEMS)))

    def item(request: Request) -> Response:
        return _json(desk.item(request.path_params['item']))

    def neighbours(request: Request) -> Response:
        return _json(desk.neighbours(request.path_params['item']))

    def picture(request: Request) -> Response:
        interval, place = request.path_params['interval'], request.path_params['place']
        content = desk.picture(int(interval), int(place)) if _is_number(interval) and _is_number(place) else None
        if content is None:
            raise ApiError(404, 'there is no such picture')
        is_known = request.query_params.get('q') == desk.mark
        return Response(content, media_type='image/jpeg',
                        headers={'Cache-Control': _PICTURES if is_known else 'no-store'})

    def bar(request: Request) -> Response:
        query = request.query_params
        return _json(desk.time(query.get('recording', ''), query.get('topic', '')))

    def progress(request: Request) -> Response:
        return _json(meter.progress())

    async def changes(request: Request) -> Response:
        after, tab = _whole(request, 'after', 0, 0, 2**62), request.query_params.get('tab', '')
        until = time.monotonic() + _whole(request, 'wait', 0, 0, int(_LONGEST_WAIT_S))
        while True:
            found = await run_in_threadpool(desk.changes, after, tab)
            if found['events'] or found['more'] or is_ending() or time.monotonic() >= until:
                return _json(found)
            await asyncio.sleep(_LOOK_S)
            if await request.is_disconnected():
                return Response()

    async def events(request: Request) -> Response:
        body = _body(await request.body())
        if body.get('queue') != desk.queue_id:
            raise ApiError(409, 'these labels are for another mining of this queue',
                           'load the page again; the ids of the earlier mining mean something else now', 'queue')
        tab, wishes = body.get('tab'), body.get('events')
        if not isinstance(tab, str) or not 0 < len(tab) <= _TAB or not tab.isascii() or not tab.isprintable():
            raise ApiError(400, 'tab is missing', 'send a text of 1 to 64 characters, another for each tab')
        if not isinstance(wishes, list) or len(wishes) > MOST_EVENTS:
            raise ApiError(400, f'events has to be a list of at most {MOST_EVENTS}', 'send fewer at once')
        return _json(await run_in_threadpool(desk.act, tab, wishes))

    routes = [
        Route('/', page), Route('/api/queue', queue), Route('/api/items', items), Route('/api/items/{item}', item),
        Route('/api/items/{item}/neighbours', neighbours), Route('/api/pictures/{interval}/{place}.jpg', picture),
        Route('/api/time', bar), Route('/api/changes', changes), Route('/api/progress', progress),
        Route('/api/events', events, methods=['POST']), Route('/{name}', page)]
    app = Starlette(routes=routes, exception_handlers={
        ApiError: _told, HTTPException: _told, ClientDisconnect: _told, Exception: _told})
    app.router.redirect_slashes = False
    return Guard(app, port, access)


def _json(content: Any, status: int = 200) -> Response:
    # In ASCII: halves of characters in the name of a file are no UTF-8.
    return Response(json.dumps(content, allow_nan=False, separators=(',', ':')), status, media_type='application/json')


def _told(request: Request, error: Exception) -> Response:
    """Short and without what is inside."""
    if isinstance(error, ApiError):
        return _json(error.body, error.status)
    if isinstance(error, HTTPException):
        return _json({'error': {404: 'there is no such page', 405: 'this method is not allowed here'}.get(
            error.status_code, 'this cannot be done')}, error.status_code)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)
    return _json({'error': 'something is wrong in the program',
                  'remedy': 'see the terminal; what you said is kept here and tried again'}, 500)


def _body(content: bytes) -> Dict[str, Any]:
    try:
        body = parse_json(content, 'this')
    except ConfigError as error:
        raise ApiError(400, str(error), 'send UTF-8') from None
    if not isinstance(body, dict):
        raise ApiError(400, 'this is no object', 'send {"queue": ..., "tab": ..., "events": [...]}')
    return body


def _whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not _is_number(text) or not least <= int(text) <= most:
        raise ApiError(400, f'{name} has to be a whole number from {least} to {most}')
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19

"""What every request has to pass before anything else sees it.

A page of another site can send requests to this machine, also under a name of its own that it lets point here (DNS
rebinding), and a page of another port here counts as the same site. So a request needs a host of a fixed list, a
cookie that only the link of the terminal gives, and for whatever changes something this very origin, told by the
browser in ``Origin`` and ``Sec-Fetch-Site``. See R. Auger, "Cross-Site Request Forgery"; W3C "Fetch Metadata Request
Headers"; OWASP "Cross-Site Request Forgery Prevention Cheat Sheet".
"""
import asyncio
import json
import re
from contextlib import suppress
from typing import Dict, List, Optional, Tuple
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import Access
from .problems import ApiError

MOST_BODY = 512 * 1024
_MOST_DRAINED = 8 * MOST_BODY
_DRAINING_S = 2.0
_MOST_PATH = 200
_MOST_QUERY = 2000
_PATH = re.compile(rb'/[0-9A-Za-z_./-]*')
HEADERS = {
    'Content-Security-Policy': (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}
"""Of every answer."""
_WELCOME = ('<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
            '<title>Label</title><p><a href="/">Go on to the page</a></p></html>')
_NO_ENTRY = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>This link is used up</title><h1>This link does not '
    'work</h1><p>A link is good once, and as long as the program that printed it runs. Press Enter in the terminal '
    'where <code>robot-vision label</code> runs, and open the link that it prints then.</p></html>')


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, port: int, access: Access) -> None:
        """Guard ``app``, which listens on ``port`` of this machine."""
        self._app = app
        self._access = access
        self._hosts = {f'127.0.0.1:{port}', f'localhost:{port}', *(('127.0.0.1', 'localhost') if port == 80 else ())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let ``app`` do it."""
        if scope['type'] != 'http':
            if scope['type'] == 'websocket':
                await send({'type': 'websocket.close', 'code': 1008})
            return
        send = _with_headers(send)
        try:
            body = self._checked(scope)
            if body is None:
                await self._app(scope, _limited(receive), send)
            else:
                await _answer(send, 200, body, 'text/html; charset=utf-8', [('Set-Cookie', self._access.set_cookie)])
        except ApiError as error:
            if scope['method'] == 'POST':
                await _drain(receive)
            wants_page = scope['path'] == '/' and scope['method'] == 'GET' and error.code in ('token', 'session')
            await _answer(send, error.status, _NO_ENTRY if wants_page else json.dumps(error.body),
                          'text/html; charset=utf-8' if wants_page else 'application/json', [])

    def _checked(self, scope: Scope) -> Optional[str]:
        """Check all but the body; a page where that is the answer already."""
        headers = _headers(scope)
        host = _one(headers, 'host')
        if host is None or host not in self._hosts:
            raise ApiError(421, 'this host is not served here', 'open the link that the terminal shows')
        if scope['method'] not in ('GET', 'POST'):
            raise ApiError(405, 'this method is not allowed', 'use GET or POST')
        raw = scope.get('raw_path') or scope['path'].encode('utf-8', 'surrogatepass')
        if len(raw) > _MOST_PATH or not _PATH.fullmatch(raw) or b'..' in raw or b'//' in raw:
            raise ApiError(404, 'there is no such page')
        if len(scope['query_string']) > _MOST_QUERY:
            raise ApiError(414, 'the address is too long')
        site = _one(headers, 'sec-fetch-site')
        if scope['method'] == 'GET' and scope['path'] == '/' and b'token=' in scope['query_string']:
            given = parse_qs(scope['query_string'].decode('ascii', 'replace')).get('token', [''])
            if len(given) != 1 or not self._access.take(given[0]):
                raise ApiError(403, 'this link is used up', 'take a new one from the terminal', 'token')
            return _WELCOME
        if not self._access.has(_one(headers, 'cookie')):
            raise ApiError(403, 'this browser may not use the page, or the program was started again',
                           'open the link that `robot-vision label` printed, in this browser', 'session')
        if site not in (None, 'same-origin', 'none') and scope['path'] != '/':
            raise ApiError(403, 'another site asks for this', code='origin')
        if scope['method'] == 'POST':
            _check_post(headers, host, site)
        return None


def _check_post(headers: Dict[str, List[str]], host: str, site: Optional[str]) -> None:
    """What changes something comes from our own page alone."""
    if _one(headers, 'origin') != f'http://{host}' or site != 'same-origin':
        raise ApiError(403, 'another site asks for this', 'only the page itself may', 'origin')
    kind = (_one(headers, 'content-type') or '').lower().replace(' ', '')
    if kind not in ('application/json', 'application/json;charset=utf-8'):
        raise ApiError(415, 'only JSON is taken', 'send Content-Type: application/json')
    length = _one(headers, 'content-length')
    if length is not None and (not length.isdecimal() or int(length) > MOST_BODY):
        raise ApiError(413, f'more than {MOST_BODY} bytes', 'send fewer events at once', 'size')


def _headers(scope: Scope) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for name, value in scope['headers']:
        found.setdefault(name.decode('latin-1').lower(), []).append(value.decode('latin-1'))
    return found


def _one(headers: Dict[str, List[str]], name: str) -> Optional[str]:
    """A header; None: it is not there, or more than once, which nothing honest sends."""
    values = headers.get(name, [])
    if len(values) > 1:
        raise ApiError(400, f'more than one {name} header')
    return values[0] if values else None


def _limited(receive: Receive) -> Receive:
    """Count what comes, whatever the length that was told."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get('body', b''))
        if taken > MOST_BODY:
            raise ApiError(413, f'more than {MOST_BODY} bytes', 'send fewer events at once', 'size')
        return message
    return limited


async def _drain(receive: Receive) -> None:
    """Read what a browser still sends, within bounds: one that cannot send all of it never sees the answer."""
    async def rest() -> None:
        taken, more = 0, True
        while more and taken < _MOST_DRAINED:
            message = await receive()
            taken += len(message.get('body', b''))
            more = message['type'] == 'http.request' and message.get('more_body', False)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(rest(), _DRAINING_S)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message['type'] == 'http.response.start':
            own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            there = {name.lower() for name, _ in message.get('headers', [])}
            if b'cache-control' not in there:
                own.append((b'cache-control', b'no-store'))
            message = {**message, 'headers': [*message.get('headers', []), *own]}
        await send(message)
    return sending


async def _answer(send: Send, status: int, body: str, kind: str, more: List[Tuple[str, str]]) -> None:
    content = body.encode()
    headers = [('Content-Type', kind), ('Content-Length', str(len(content))), *more]
    if status >= 400:
        headers.append(('Connection', 'close'))  # what else of a body is under way is not read as a request
    await send({'type': 'http.response.start', 'status': status, 'headers': [
        (name.lower().encode(), value.encode()) for name, value in headers]})
    await send({'type': 'http.response.body', 'body': content})

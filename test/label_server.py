"""The server of ``robot-vision label``, and a client that speaks to it as the page does."""
import http.client
import json
import threading
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from robot_vision_dl.bench import label_process
from robot_vision_dl.bench.label_process import LINK


class LabelServer(label_process.LabelServer):
    """The command as a process of its own."""

    def client(self) -> 'Client':
        """One that has used the link."""
        return Client(self.port).enter(self.token)


class ServerThread:
    """The same server in a thread of this process, over a real socket: quicker, where no process has to die."""

    def __init__(self, queue: Path, who: str = 'Ann') -> None:
        from robot_vision_dl.labelling.server.desk import Desk
        from robot_vision_dl.labelling.server.serve import listen, make_server
        self.folder = queue
        self._desk = Desk(queue, who)
        self._listener = listen(queue, None)
        self.port = self._listener.getsockname()[1]
        self._server, self._link = make_server(self._desk, self._listener)
        self._thread = threading.Thread(target=self._server.run, kwargs={'sockets': [self._listener]})
        self._thread.start()

    def __enter__(self) -> 'ServerThread':
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self._desk.close()

    def client(self) -> 'Client':
        """One that has used a link."""
        return Client(self.port).enter(LINK.search(self._link())[2])


class Client:
    """A browser tab, as far as the server sees it."""

    def __init__(self, port: int, host: Optional[str] = None) -> None:
        self.port = port
        self.host = host or f'127.0.0.1:{port}'
        self.cookie = ''
        self.tab = str(uuid.uuid4())
        self.queue_id = ''

    def enter(self, token: str) -> 'Client':
        """Use a link."""
        status, headers, _ = self.request('GET', f'/?token={token}')
        assert status == 200, status
        self.cookie = headers['set-cookie'].split(';')[0]
        self.start()
        return self

    def start(self) -> Dict[str, Any]:
        """Ask for the queue, as the page does first."""
        found = self.get('/api/queue')
        self.queue_id = found['queue_id']
        return found

    def request(self, method: str, path: str, body: Optional[bytes] = None, headers: Optional[Dict[str, Any]] = None,
                timeout: float = 20) -> Tuple[int, Dict[str, str], bytes]:
        """Status, headers (names in small letters) and body; a header of None is not sent."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        try:
            sent = {'Host': self.host, 'Sec-Fetch-Site': 'same-origin', 'Cookie': self.cookie or None}
            if method == 'POST':
                sent.update({'Origin': f'http://{self.host}', 'Content-Type': 'application/json'})
            sent.update(headers or {})
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                for one in value if isinstance(value, list) else [value] if value is not None else []:
                    connection.putheader(name, one)
            if body is not None and 'Content-Length' not in sent and 'Transfer-Encoding' not in sent:
                connection.putheader('Content-Length', str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of an address that is there."""
        status, headers, body = self.request('GET', path)
        assert status == 200, (status, body)
        assert headers['content-type'] == 'application/json'
        return json.loads(body)

    def post(self, events: List[Dict[str, Any]], **more: Any) -> Tuple[int, Any]:
        """Status and answer to events."""
        body = json.dumps({'queue': self.queue_id, 'tab': self.tab, 'events': events, **more}).encode()
        status, _, answer = self.request('POST', '/api/events', body)
        return status, json.loads(answer)

    def do(self, kind: str, **more: Any) -> Dict[str, Any]:
        """The answer to one event; its id is made unless it is given."""
        status, answer = self.post([{'id': str(uuid.uuid4()), 'kind': kind, **more}])
        assert status == 200, answer
        return answer['answers'][0]

"""Who may use the page: whoever has opened a link that the terminal showed."""
import secrets
import threading
from typing import Optional, Set


class Access:
    """Tokens that are good once, and the cookie that a browser gets for one.

    Attributes:
        cookie: its name, another for each port: browsers share cookies among the ports of a machine.
    """

    def __init__(self, port: int) -> None:
        """Nobody may use it yet."""
        self.cookie = f'robot_vision_label_{port}'
        self._secret = secrets.token_urlsafe(32)
        self._tokens: Set[str] = set()
        self._lock = threading.Lock()

    def token(self) -> str:
        """A new token; those that were not used before are good no longer."""
        with self._lock:
            self._tokens = {secrets.token_urlsafe(32)}
            return next(iter(self._tokens))

    def take(self, token: str) -> bool:
        """Use up a token; False: it is none, or was used."""
        with self._lock:
            for one in self._tokens:
                if secrets.compare_digest(one.encode(), token.encode('utf-8', 'surrogatepass')):
                    self._tokens.discard(one)
                    return True
            return False

    @property
    def set_cookie(self) -> str:
        """The header that gives the cookie: no script reads it, and no other site's request carries it."""
        return f'{self.cookie}={self._secret}; Path=/; HttpOnly; SameSite=Strict'

    def has(self, header: Optional[str]) -> bool:
        """Whether a ``Cookie`` header has the right one, whatever other programs of this machine put beside it."""
        found = False
        for one in (header or '').split(';'):
            name, _, value = one.strip().partition('=')
            if name == self.cookie:
                found |= secrets.compare_digest(value.encode('utf-8', 'surrogatepass'), self._secret.encode())
        return found

"""Where an object will be: a Kalman filter of the centre of its box.

Constant velocity as in SORT (Bewley et al., Simple Online and Realtime Tracking, ICIP 2016), with two differences that
a robot needs. Time is counted in seconds and not in frames, because frames are lost and rates differ. The velocity
fades, so that an object that is not seen for long is looked for near the place where it was rather than beyond the
picture. All noise is in units of the object's size, because what is near moves by more pixels and its box trembles by
more.
"""
from dataclasses import dataclass
from math import exp
from typing import Tuple

FADING_S = 2.0  # after this time without a sight of it, an object is held to move at 1/e of its velocity
_JITTER = 0.05  # standard deviation of a detector's centre, in sizes; ByteTrack and DeepSORT take the same 1/20
_ACCELERATION = 7.0  # standard deviation, in sizes/s^2
_FIRST_VELOCITY = 5.0  # standard deviation of the velocity of an object that was seen once, in sizes/s


@dataclass
class Motion:
    """Place and velocity of a centre, the same uncertainty for x and y.

    Attributes:
        x, y: in pixels.
        vx, vy: in pixels/s.
        place, both, speed: the covariance: of the place (pixels^2), of place and velocity, of the velocity.
    """

    x: float
    y: float
    vx: float
    vy: float
    place: float
    both: float
    speed: float

    @classmethod
    def first(cls, x: float, y: float, size: float, vx: float = 0.0, vy: float = 0.0) -> 'Motion':
        """Of an object that was seen once; ``size`` in pixels, velocity as far as it can be guessed."""
        return cls(x, y, vx, vy, (_JITTER * size) ** 2, 0.0, (_FIRST_VELOCITY * size) ** 2)

    def after(self, seconds: float) -> Tuple[float, float]:
        """Where the centre is expected so many seconds after it was seen last, in pixels."""
        way = FADING_S * (1 - exp(-seconds / FADING_S))
        return self.x + self.vx * way, self.y + self.vy * way

    def seen(self, x: float, y: float, size: float, seconds: float) -> None:
        """Take in that the centre is at a place, so many seconds (above 0) after it was seen last."""
        fade = exp(-seconds / FADING_S)
        way = FADING_S * (1 - fade)
        noise = (_ACCELERATION * size) ** 2
        # Covariance of the prediction: F P F' + Q, with the acceleration held for the whole step.
        place = self.place + 2 * way * self.both + way ** 2 * self.speed + noise * seconds ** 4 / 4
        both = fade * (self.both + way * self.speed) + noise * seconds ** 3 / 2
        speed = fade ** 2 * self.speed + noise * seconds ** 2
        of_place = place / (place + (_JITTER * size) ** 2)
        of_speed = both / (place + (_JITTER * size) ** 2)
        expected_x, expected_y = self.after(seconds)
        self.vx = fade * self.vx + of_speed * (x - expected_x)
        self.vy = fade * self.vy + of_speed * (y - expected_y)
        self.x = expected_x + of_place * (x - expected_x)
        self.y = expected_y + of_place * (y - expected_y)
        self.place, self.both, self.speed = (1 - of_place) * place, (1 - of_place) * both, speed - of_speed * both

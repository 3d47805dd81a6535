"""Which objects of a frame are looked at, where there are more than there is time for."""
from typing import Dict, Hashable, List, Sequence


class Turns:
    """Lets the objects of one camera take turns: those that were not looked at for longest go first.

    Objects that nobody follows, each of which is new in every frame, take turns by their place in the array.
    """

    def __init__(self) -> None:
        self._last: Dict[Hashable, int] = {}
        self._frame = 0
        self._start = 0

    def choose(self, objects: Sequence[Hashable], most: int) -> List[int]:
        """Places of at most ``most`` objects, ascending; they count as looked at.

        Args:
            objects: what tells each from the others over time, all different; None: a new one that nobody knows.
        """
        self._frame += 1
        count = len(objects)
        if count <= most:
            chosen = list(range(count))
        else:
            start = self._start % count
            turned = [(start + place) % count for place in range(count)]
            turned.sort(key=lambda place: self._last.get(objects[place], -1))  # stable: ties stay in their turn
            chosen = sorted(turned[:most])
            self._start = (start + most) % count
        present = set(objects)
        self._last = {key: frame for key, frame in self._last.items() if key in present}
        for place in chosen:
            if objects[place] is not None:
                self._last[objects[place]] = self._frame
        return chosen

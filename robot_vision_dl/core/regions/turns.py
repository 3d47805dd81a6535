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
            objects: what tells each from the others over time, all different. A new one has waited since this frame,
                and so goes behind those that have waited for longer.
        """
        self._frame += 1
        count = len(objects)
        before = self._last
        self._last = {key: before.get(key, self._frame - 1) for key in objects}
        if count <= most:
            chosen = list(range(count))
        else:
            start = self._start % count
            turned = [(start + place) % count for place in range(count)]
            turned.sort(key=lambda place: self._last[objects[place]])  # stable: ties stay in their turn
            chosen = sorted(turned[:most])
            self._start = (start + most) % count
        for place in chosen:
            self._last[objects[place]] = self._frame
        return chosen

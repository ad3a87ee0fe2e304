"""How far a rescale is, for people: counted from when it was first seen. Pure; nothing is decided on it."""

import msgspec

from keystead_operator.plan.actions import Moves


class RescaleProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`moved` of `to_move` replicas since `began_at` (seconds since 1970), `moving` of the rest are on the way.
    `leaving`: nodes that are being emptied. `bytes_left`: of the rows that have yet to be where they should.
    `seconds_left`: at the speed so far; None while nothing has moved yet."""

    moved: int
    to_move: int
    moving: int
    leaving: tuple[str, ...] = ()
    began_at: float = 0.0
    bytes_left: int = 0
    seconds_left: int | None = None


def progress(before: RescaleProgress | None, moves: Moves, now: float) -> RescaleProgress | None:
    """What is so now, given what was said last; None when nothing has to move. A change that overtakes another adds to
    what has moved; what was begun anew by a new process counts from there."""
    left = moves.waiting + moves.moving
    if not left and not moves.leaving:
        return None
    if before is None:
        before = RescaleProgress(moved=0, to_move=left, moving=0, began_at=now)
    to_move = max(before.to_move, before.moved + left) if left > before.to_move - before.moved else before.to_move
    moved = to_move - left
    took = now - before.began_at
    return RescaleProgress(
        moved=moved,
        to_move=to_move,
        moving=moves.moving,
        leaving=moves.leaving,
        began_at=before.began_at,
        bytes_left=moves.bytes,
        seconds_left=round(took * left / moved) if moved else None,
    )

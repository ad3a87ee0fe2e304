"""What a seed decides before the run starts: the cluster's size, its settings, and the schedule of its faults.

All of it is plain data drawn from one seeded generator, so that a schedule can be shrunk, printed and run again.
"""

from random import Random

import msgspec

from keystead_core.ids import MILLISECOND, SECOND
from keystead_core.replication.settings import Settings
from keystead_node.storage.geometry import Geometry
from tests.sim.rows import SPREAD_FROM

FAULTS = "CPNAKDULBTMESRVX"
"""One letter for each fault of the protocol page; a run counts how often each fired."""

VOLUME_FAULTS = ("volume lost", "volume rolled back", "volume attached twice")

WEIGHTS = {
    "C": 5, "P": 3, "N": 5, "A": 3, "K": 2, "D": 2, "U": 2, "L": 2, "B": 2, "T": 3, "M": 1, "E": 1, "S": 3, "R": 7,
    "V": 1, "X": 2, "volume lost": 2, "volume rolled back": 1, "volume attached twice": 1,
}  # fmt: skip

THEMES = {
    "": (),
    "leases": ("C", "P", "N", "A", "K", "D", "U", "R"),
    "branches": ("C", "N", "A", "D", "L", "T", "S", "R"),
    "storage": ("C", "B", "T", "M", "S", "volume lost", "volume rolled back"),
    "members": ("C", "N", "A", "L", "R", "X", "volume lost"),
}
"""Half of the seeds meet any faults; the others those around one promise, in one group, with writes all the time."""


GEOMETRIES = (Geometry(8, 8, 8), Geometry(8, 8, 8), Geometry(16, 8, 16))
"""Hot logs so small that their segments are reused within a run."""
APPEND_BYTES_MAX = 1 << 15
"""As to a log, what one message brings is small: a node's is not smaller than 16 of the largest."""


SPLIT_SHARE = 0.33

STEERED_SHARE = 0.06
WISH_FAULTS = {"C": 6, "T": 2, "N": 2, "P": 1, "X": 1, "L": 1, "B": 1, "volume lost": 3, "volume rolled back": 1}
"""Within a lease behind each wish, none to two of these."""
STEERED_FROM = 650_000
"""Seeds below are as they were before nodes came and went: what they found, and what hunts them, stays."""

SPLIT_LOSSES = {"volume lost": 5, "volume rolled back": 2, "volume attached twice": 1, "B": 2, "M": 1}
SPLIT_LOSS_SHARE = 0.6
"""Of the splits have one of these beside them, besides what the schedule brings anyway."""


class Fault(msgspec.Struct, frozen=True):
    """One fault: when, what, for how long (both in microseconds), and three numbers in [0, 1) that say the rest."""

    at: int
    kind: str
    lasts: int
    a: float
    b: float
    c: float

    def __str__(self) -> str:
        return f"{self.at / 1e6:8.3f}s {self.kind:<22} {self.lasts / 1e6:6.3f}s  {self.a:.3f} {self.b:.3f} {self.c:.3f}"


class Scenario(msgspec.Struct, frozen=True):
    """`durable_zones` is K and `write_quorum_min` W (0: a majority). `burst`: how many requests each client has under
    way. `live`: progress is demanded after the faults end at `faults_end`; else only safety is judged.

    Where it `is_steered`, nodes come and go and tables are dialled up, by the operator's planners and the core's
    catalog: `spares` are machines that may become nodes, `wishes` what is declared anew and when, by their a and b. The
    keys are `first_key` and the next ones.
    """

    seed: int
    theme: str
    nodes: int
    zones: int
    partitions: int
    replicas: int
    log_only: bool
    write_quorum_min: int
    durable_zones: int
    clients: int
    burst: int
    keys: int
    settings: Settings
    faults_end: int
    live: bool
    faults: tuple[Fault, ...]
    splits: tuple[Fault, ...]
    geometry: Geometry
    cold_bytes_max: int
    is_steered: bool = False
    spares: int = 0
    first_key: int = 0
    wishes: tuple[Fault, ...] = ()

    def with_faults(self, faults: tuple[Fault, ...]) -> "Scenario":
        return msgspec.structs.replace(self, faults=faults)


def draw(seed: int, with_splits: bool = True) -> Scenario:
    """`with_splits` False: as seeds ran before there were splits, for those that found something then."""
    drawn = _draw(seed, with_splits)
    random = Random(f"{seed}/steered")
    if seed < STEERED_FROM or random.random() >= STEERED_SHARE:
        return drawn
    return _steered(random, drawn)


def _steered(random: Random, drawn: Scenario) -> Scenario:
    """The same faults, around another cluster."""
    nodes = random.choice((3, 3, 4, 5))
    replicas = random.choice((1, 3, 3, 3))
    zones = random.choice((1, 2, min(3, nodes)))
    faults_end = drawn.faults_end * 2
    wishes = sorted(random.random() for _ in range(random.choice((2, 3, 5, 8))))
    first, last = drawn.settings.lease, faults_end - drawn.settings.lease // 2
    thin = random.choice((0.1, 0.3, 0.6))
    faults = [msgspec.structs.replace(fault, at=int(fault.at * 2)) for fault in drawn.faults if random.random() < thin]
    kinds = list(WISH_FAULTS)
    for time in wishes:
        for _ in range(random.choice((0, 1, 2))):
            at = first + time * (last - first) + drawn.settings.lease * random.random()
            kind = random.choices(kinds, list(WISH_FAULTS.values()))[0]
            lasts = int(drawn.settings.lease * random.choice((0.1, 0.5, 1.5, 5.0)))
            faults.append(Fault(int(at), kind, lasts, random.random(), random.random(), random.random()))
    return msgspec.structs.replace(
        drawn,
        is_steered=True,
        theme="",
        nodes=nodes,
        spares=random.choice((1, 2, 3)),
        zones=zones,
        partitions=random.choice((1, 1, 2)),
        live=random.random() < 0.6,
        replicas=replicas,
        log_only=False,
        write_quorum_min=replicas if random.random() < 0.1 else 0,
        durable_zones=random.randint(1, min(zones, replicas // 2 + 1)),
        burst=1,
        keys=random.choice((4, 6, 8)),
        first_key=SPREAD_FROM,
        faults_end=faults_end,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        splits=drawn.splits if random.random() < 0.5 else (),
        wishes=tuple(
            Fault(int(first + time * (last - first)), "wish", 0, random.random(), random.random(), 0.0)
            for time in wishes
        ),
    )


def _draw(seed: int, with_splits: bool) -> Scenario:
    random = Random(f"{seed}/scenario")
    theme = random.choice([name for name in THEMES if name]) if random.random() < 0.5 else ""
    nodes = random.choice((3, 3, 4, 5, 5, 6, 7)) if not theme else random.choice((3, 3, 4, 5))
    zones = random.randint(1, min(nodes, 4)) if random.random() < 0.4 else min(nodes, 3)
    replicas = random.choice((1, 2, 3, 3, 3, 3, 3, 4, 5, 5)) if not theme else random.choice((3, 3, 3, 5))
    replicas = min(replicas, nodes)
    durable_zones = random.randint(1, max(1, min(zones, replicas // 2 + 1)))
    write_quorum_min = random.randint(replicas // 2 + 1, replicas) if random.random() < 0.2 else 0
    partitions = random.choice((1, 1, 1, 1, 1, 1, 2, 2, 3, 8)) if not theme else 1
    settings = _settings(random, theme)
    faults_end = int(settings.lease * (random.choice((3, 4, 4, 5)) if not theme else 6))
    splits = _splits(seed, settings, faults_end) if with_splits else ()
    return Scenario(
        seed=seed,
        theme=theme,
        nodes=nodes,
        zones=zones,
        partitions=partitions,
        replicas=replicas,
        log_only=replicas >= 3 and random.random() < (0.4 if theme == "members" else 0.2),
        write_quorum_min=write_quorum_min,
        durable_zones=durable_zones,
        clients=random.randint(2, 4),
        burst=random.choice((1, 4)) if theme in ("branches", "members") else 1,
        keys=random.choice((1, 2, 3, 5)),
        settings=settings,
        faults_end=faults_end,
        live=random.random() < 0.35,
        faults=_beside_splits(seed, splits, settings, _faults(random, settings, faults_end, theme)),
        splits=splits,
        geometry=random.choice(GEOMETRIES),
        cold_bytes_max=random.choice((400, 1500, 1 << 20)),
    )


def _splits(seed: int, settings: Settings, faults_end: int) -> tuple[Fault, ...]:
    """Planned beside the faults in a third of the runs, from a generator of their own."""
    random = Random(f"{seed}/splits")
    if random.random() >= SPLIT_SHARE:
        return ()
    times = sorted(random.random() for _ in range(random.choice((1, 1, 2, 4))))
    first, last = settings.lease, faults_end - settings.lease // 4
    return tuple(
        Fault(int(first + time * (last - first)), "split", 0, random.random(), random.random(), random.random())
        for time in times
    )


def _beside_splits(
    seed: int, splits: tuple[Fault, ...], settings: Settings, faults: tuple[Fault, ...]
) -> tuple[Fault, ...]:
    """The faults, and such of volumes while a split is likely to be under way, from a generator of their own."""
    random = Random(f"{seed}/losses")
    kinds = list(SPLIT_LOSSES)
    more = [
        Fault(
            split.at + int(settings.lease * random.random()),
            random.choices(kinds, list(SPLIT_LOSSES.values()))[0],
            int(settings.lease * random.choice((0.3, 1.2))),
            random.random(),
            random.random(),
            random.random(),
        )
        for split in splits
        if random.random() < SPLIT_LOSS_SHARE
    ]
    return tuple(sorted((*faults, *more), key=lambda fault: fault.at)) if more else faults


def _settings(random: Random, theme: str) -> Settings:
    lease = random.choice((400, 600, 1000)) * MILLISECOND
    return Settings(
        lease=lease,
        heartbeat=lease // 5,
        drift_ppm=random.choice((20_000, 20_000, 150_000) if theme != "leases" else (150_000,)),
        gather_wait=random.choice((20, 50)) * MILLISECOND,
        lock=random.choice(("preferred", "preferred", "required", "none")),
        resend=lease * 2 // 5,
        seal_bytes=random.choice((400, 1500, 6000, 1 << 20)),
        append_bytes_max=random.choice((100, 600, 4000, APPEND_BYTES_MAX)),
        window_bytes=random.choice((300, 4000, 1 << 20)),
        level_records=random.choice((1, 4, 64)),
        reads="quorum" if random.random() < (0.3 if theme == "leases" else 0.1) else "lease",
    )


def _faults(random: Random, settings: Settings, faults_end: int, theme: str) -> tuple[Fault, ...]:
    """A swarm: each run leaves out some kinds of fault, so that the others meet more often."""
    kinds = [kind for kind in THEMES[theme] or WEIGHTS if random.random() < (0.8 if theme else 0.55)]
    if not kinds or random.random() < 0.03:
        return ()
    weights = [WEIGHTS[kind] for kind in kinds]
    every = settings.lease * random.choice((0.06, 0.1, 0.15, 0.3) if not theme else (0.1, 0.2, 0.4))
    faults = []
    at = settings.lease * (0.3 + random.random())
    while at < faults_end - settings.lease * 0.4:
        lasts = settings.lease * random.choice((0.02, 0.3, 1.2, 2.0)) * (0.5 + random.random())
        kind = random.choices(kinds, weights)[0]
        faults.append(Fault(int(at), kind, int(lasts), random.random(), random.random(), random.random()))
        at += every * (2 * random.random())
        if random.random() < 0.15:
            at -= every * 0.5 * random.random()
    return tuple(faults)


assert SECOND == 1_000_000 and len(FAULTS) == 16

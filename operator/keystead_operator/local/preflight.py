"""What is checked before a data directory is touched, and the lock that its supervisor holds."""

import errno
import fcntl
import os
import random
import socket
from pathlib import Path
from typing import Final

import msgspec

from keystead_operator.local.cluster_file import ClusterFile, DataTooNew, DataUnreadable, read_cluster_file
from keystead_operator.local.files import DataDir

EXIT_IN_USE: Final = 3
EXIT_NOT_WRITABLE: Final = 4
EXIT_TOO_NEW: Final = 5
EXIT_PORT_IN_USE: Final = 6
EXIT_UNREADABLE: Final = 9
LOOPBACK: Final = "127.0.0.1"
_BELOW_EPHEMERAL: Final = range(15_000, 32_000)


class CannotStart(Exception):
    """One line that says why, and the exit code of the program. Nothing was touched."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SupervisorRecord(msgspec.Struct, frozen=True):
    """run/supervisor.json: who holds the lock."""

    pid: int


def check_directory(data: DataDir) -> ClusterFile | None:
    """What the directory holds: a cluster, or None for a new one. Raises CannotStart."""
    root = data.root
    if root.exists() and not root.is_dir():
        raise CannotStart(f"{root} is not a directory", EXIT_NOT_WRITABLE)
    parent = root
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise CannotStart(f"no permission to write to {parent}", EXIT_NOT_WRITABLE)
    try:
        found = read_cluster_file(data)
    except DataTooNew as problem:
        raise CannotStart(str(problem), EXIT_TOO_NEW) from problem
    except DataUnreadable as problem:
        raise CannotStart(str(problem), EXIT_UNREADABLE) from problem
    except PermissionError as problem:
        raise CannotStart(f"no permission to read {data.cluster_file}", EXIT_NOT_WRITABLE) from problem
    if found is None and root.exists() and any(root.iterdir()):
        raise CannotStart(f"{root} is not empty and holds no Keystead cluster", EXIT_NOT_WRITABLE)
    if found is not None:
        for path in (data.cluster_file, data.nodes, *(data.volume(place.name) for place in found.places)):
            if path.exists() and not os.access(path, os.W_OK):
                raise CannotStart(f"no permission to write to {path}", EXIT_NOT_WRITABLE)
    return found


def lock_directory(data: DataDir) -> int:
    """Takes the lock on an existing directory; it is held until the descriptor is closed. Raises CannotStart."""
    descriptor = os.open(data.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(descriptor)
        if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        pid = supervisor_pid(data)
        who = f" (pid {pid})" if pid else ""
        raise CannotStart(f"{data.root} is in use by another instance{who}", EXIT_IN_USE) from problem
    return descriptor


def is_locked(data: DataDir) -> bool:
    """Whether a supervisor runs on the directory."""
    if not data.root.is_dir():
        return False
    try:
        os.close(lock_directory(data))
    except CannotStart:
        return True
    return False


def supervisor_pid(data: DataDir) -> int:
    """The pid that the last supervisor wrote down; 0 if there is none."""
    try:
        return msgspec.json.decode(data.supervisor_file.read_bytes(), type=SupervisorRecord).pid
    except (FileNotFoundError, PermissionError, msgspec.DecodeError):
        return 0


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def check_ports(ports: list[int]) -> None:
    """Raises CannotStart if one of them is taken, is reserved to others, or is no port."""
    for port in ports:
        if not 0 < port < 65_536:
            raise CannotStart(f"{port} is not a port", EXIT_PORT_IN_USE)
        if not port_is_free(port):
            raise CannotStart(f"port {port} is in use by another program", EXIT_PORT_IN_USE)


def free_ports(count: int, *, consecutive: bool = False, avoid: frozenset[int] = frozenset()) -> list[int]:
    """Free ports below the range from which the system takes those of outgoing connections."""
    found: list[int] = []
    for _ in range(10_000):
        if consecutive:
            first = random.choice(_BELOW_EPHEMERAL)
            candidates = list(range(first, first + count))
        else:
            candidates = [random.choice(_BELOW_EPHEMERAL)]
        if all(port not in avoid and port not in found and port_is_free(port) for port in candidates):
            found += candidates
        if len(found) >= count:
            return found[:count]
    raise CannotStart("no free ports were found", EXIT_PORT_IN_USE)


def absolute(path: Path) -> Path:
    """The path from the root, with links left as they are: what messages and configurations name."""
    return Path(os.path.abspath(path))

"""Starts a container's program in a mount namespace of its own, or one more program in that of a running container.

    python -IS launcher.py ORDER.json

The order (JSON):

    argv, env, cwd     what to run
    mounts             [{source, target, read_only}]: directories or files, bound where the container sees them
    keep               paths of the machine that a mount must not hide: the programs of the "image"
    read_only_root     all else cannot be written
    join               a pid: use its namespace instead of making one
    user_namespace     true where the caller is not root

A program of its own, with nothing but the standard library: it starts in 15 ms, and a pod's process is what it becomes.
"""

import ctypes
import json
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 1
PR_SET_PDEATHSIG = 1
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _clone_tree(path: str) -> int:
    """A descriptor of a copy of the mounts at the path, attached nowhere yet."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    return _checked(_libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), f"open_tree {path}")


def _attach(tree: int, target: str) -> None:
    moved = _libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
    _checked(moved, f"move_mount {target}")
    os.close(tree)


def _set_read_only(directory: int, path: str, flags: int, read_only: bool = True) -> None:
    wanted = MOUNT_ATTR_RDONLY
    attributes = _MountAttributes(wanted if read_only else 0, 0 if read_only else wanted, 0, 0)
    size = ctypes.sizeof(attributes)
    done = _libc.syscall(SYS_MOUNT_SETATTR, directory, os.fsencode(path), flags, ctypes.byref(attributes), size)
    _checked(done, f"mount_setattr {path}")


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _unshare(user_namespace: bool) -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user_namespace else 0)), "unshare")
    if user_namespace:
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(content)
    _checked(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make / private")


def _make_mountable(target: str, is_directory: bool) -> None:
    """Makes an absent mount point: the nearest directory that exists becomes one in memory with the same entries."""
    parent = os.path.dirname(target)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":
        sys.exit(f"{target}: the test kubelet makes no mount points at the top")
    trees = []
    for entry in os.scandir(parent):
        if entry.is_symlink():
            trees.append((entry.name, -1, os.readlink(entry.path)))
        else:
            trees.append((entry.name, _clone_tree(entry.path), "/" if entry.is_dir() else ""))
    _checked(_libc.mount(b"none", os.fsencode(parent), b"tmpfs", 0, b"mode=755"), f"tmpfs {parent}")
    for name, tree, kind in trees:
        path = os.path.join(parent, name)
        if tree < 0:
            os.symlink(kind, path)
        else:
            _make_empty(path, kind == "/")
            _attach(tree, path)
    _make_empty(target, is_directory)


def _make_empty(path: str, is_directory: bool) -> None:
    if is_directory:
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a"):
            pass


def _mount_all(order: dict) -> None:  # type: ignore[type-arg]
    mounts = sorted(order["mounts"], key=lambda one: one["target"].count("/"))
    hidden = [path for path in order["keep"] if any(_is_within(path, one["target"]) for one in mounts)]
    mounts += [{"source": path, "target": path, "read_only": True} for path in hidden]
    trees = [_clone_tree(one["source"]) for one in mounts]
    for place, one in enumerate(mounts):
        inside = any(_is_within(one["target"], earlier["target"]) for earlier in mounts[:place])
        if not inside and not os.path.exists(one["target"]):
            _make_mountable(one["target"], os.path.isdir(one["source"]))
    kinds = [os.path.isdir(one["source"]) for one in mounts]
    if order["read_only_root"]:
        _set_read_only(AT_FDCWD, "/", AT_RECURSIVE)
        for path in ("/dev", "/proc"):
            try:
                _set_read_only(AT_FDCWD, path, AT_RECURSIVE, read_only=False)
            except OSError:
                continue
    for one, tree, is_directory in zip(mounts, trees, kinds, strict=True):
        if not os.path.exists(one["target"]):
            _make_empty(one["target"], is_directory)
        if one["read_only"]:
            _set_read_only(tree, "", AT_EMPTY_PATH | AT_RECURSIVE)
        _attach(tree, one["target"])


def _join(pid: int, user_namespace: bool) -> None:
    for name in (["user"] if user_namespace else []) + ["mnt"]:
        descriptor = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        _checked(_libc.setns(descriptor, 0), f"setns {name} of {pid}")
        os.close(descriptor)


def main() -> None:
    with open(sys.argv[1]) as file:
        order = json.load(file)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if order.get("join"):
        _join(order["join"], order["user_namespace"])
    else:
        _unshare(order["user_namespace"])
        _mount_all(order)
    os.chdir(order["cwd"])
    try:
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except OSError as error:
        sys.exit(f"exec: {order['argv'][0]!r}: {error.strerror}")


if __name__ == "__main__":
    main()

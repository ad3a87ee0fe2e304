"""Runs the node process: its limits, its event loop, and what its end is called."""

import ctypes
import gc
import resource
import sys

import uvloop

from keystead_node.config import (
    EXIT_BAD_CONFIG,
    EXIT_DISK_FAILED,
    EXIT_IN_USE,
    EXIT_NOT_WRITABLE,
    EXIT_PORT_IN_USE,
    EXIT_TOO_NEW,
    EXIT_WRONG_CLUSTER,
    NodeConfig,
)
from keystead_node.logs import configure_logs
from keystead_node.process import NodeProcess, PortInUse
from keystead_node.storage.disk import DiskFailed, VolumeInUse, VolumeNotWritable, VolumeTooNew, WrongCluster
from keystead_node.tls_files import FilesUnusable

FILES_WANTED = 65_536
SWITCH_SECONDS = 0.0005
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
HEAP_SLACK_BYTES = 64 << 20
HEAP_BUFFER_BYTES_MAX = 16 << 20


def serve(config: NodeConfig) -> int:
    """Runs the node to its end; the exit code. One line on standard error says why it is not 0."""
    configure_logs()
    _raise_file_limit()
    # The log writer's thread wants the interpreter back as soon as its sync is done: every write waits for it.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(50_000, 20, 100)
    _keep_freed_memory()
    process = NodeProcess(config)
    try:
        return uvloop.run(process.run())
    except FilesUnusable as error:
        return _fail(error, EXIT_BAD_CONFIG)
    except VolumeInUse as error:
        return _fail(error, EXIT_IN_USE)
    except VolumeNotWritable as error:
        return _fail(error, EXIT_NOT_WRITABLE)
    except VolumeTooNew as error:
        return _fail(error, EXIT_TOO_NEW)
    except WrongCluster as error:
        return _fail(error, EXIT_WRONG_CLUSTER)
    except PortInUse as error:
        return _fail(error, EXIT_PORT_IN_USE)
    except DiskFailed as error:
        return _fail(error, EXIT_DISK_FAILED)


def _raise_file_limit() -> None:
    """A thousand open databases need more files than the usual soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _keep_freed_memory() -> None:
    """Buffers of half a megabyte come and go with every chunk of a copy: given back to the kernel each time, their
    pages cost more than what is done with them. Without effect where the C library is none of glibc's kind."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, HEAP_SLACK_BYTES)
        libc.mallopt(M_MMAP_THRESHOLD, HEAP_BUFFER_BYTES_MAX)


def _fail(error: Exception, code: int) -> int:
    print(f"keystead-node: {error}", file=sys.stderr)
    return code

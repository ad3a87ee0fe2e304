"""The node process: opens its volume, recovers, joins its cluster and serves until it is told to stop.

    keystead-node --config FILE

Exit codes: 0 stopped, 3 volume in use, 4 not writable, 5 data newer than the program, 6 port in use, 7 volume of
another cluster, 8 disk failed, 9 identity renounced, 10 an
invariant of the core broke. Each with one line on standard error.
"""

import argparse
import gc
import resource
import sys
from pathlib import Path

import uvloop

from keystead_node.config import (
    EXIT_DISK_FAILED,
    EXIT_IN_USE,
    EXIT_NOT_WRITABLE,
    EXIT_PORT_IN_USE,
    EXIT_TOO_NEW,
    EXIT_WRONG_CLUSTER,
    ConfigError,
    read_config,
)
from keystead_node.logs import configure_logs
from keystead_node.process import NodeProcess, PortInUse
from keystead_node.storage.disk import DiskFailed, VolumeInUse, VolumeNotWritable, VolumeTooNew, WrongCluster

FILES_WANTED = 65_536


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="keystead-node", description="One node of a Keystead cluster.")
    parser.add_argument("--config", required=True, type=Path, help="the node's configuration file (JSON)")
    options = parser.parse_args(arguments)
    if not __debug__:
        print("keystead-node: refuses to run under python -O: its invariants are asserts", file=sys.stderr)
        return 2
    configure_logs()
    try:
        config = read_config(options.config)
        config.replication()
    except (ConfigError, OSError) as error:
        print(f"keystead-node: {error}", file=sys.stderr)
        return 2
    _raise_file_limit()
    gc.set_threshold(50_000, 20, 100)
    process = NodeProcess(config)
    try:
        return uvloop.run(process.run())
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


def _fail(error: Exception, code: int) -> int:
    print(f"keystead-node: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""The node process: opens its volume, recovers, joins its cluster and serves until it is told to stop.

    keystead-node --config FILE [--insecure-no-auth]   serve
    keystead-node prestop [--config FILE] [--seconds]  have the node of this FILE hand over before it is stopped
    keystead-node ask METHOD PATH [--config FILE]      one request to the admin port of the node of this FILE

Exit codes of a node: 0 stopped, 2 bad configuration, 3 volume in use, 4 not writable, 5 data newer than the program,
6 port in use, 7 volume of another cluster, 8 disk failed, 9 identity renounced, 10 an invariant of the core broke. Each
with one line on standard error. `prestop` and `ask`: 0 done, 1 not.
"""

import argparse
import os
import sys
from pathlib import Path

from keystead_node.config import EXIT_BAD_CONFIG, ConfigError, NodeConfig, read_config

CONFIG_IN_PODS = Path("/etc/keystead/node.json")
PRESTOP_SECONDS = 25.0


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not __debug__:
        print("keystead-node: refuses to run under python -O: its invariants are asserts", file=sys.stderr)
        return EXIT_BAD_CONFIG
    try:
        config = read_config(options.config, os.environ)
        config.replication()
        if options.command in (None, "serve"):
            config.insecure_no_auth |= options.insecure_no_auth
            config.check_access()
            config.hot_log_bytes()
            config.audit()
    except (ConfigError, OSError) as error:
        print(f"keystead-node: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    return _run(options, config)


def _run(options: argparse.Namespace, config: NodeConfig) -> int:
    # Imported here: half a second of imports is much for a program that a stopping pod waits for.
    if options.command in (None, "serve"):
        from keystead_node.serve import serve

        return serve(config)
    from keystead_node import ask

    if options.command == "prestop":
        return ask.prestop(config, options.seconds)
    return ask.ask(config, options.method, options.path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead-node", description="One node of a Keystead cluster.")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, help="the node's configuration file (JSON)", metavar="FILE"
    )
    parser.add_argument("--config", type=Path, default=CONFIG_IN_PODS, help="the node's configuration file (JSON)")
    parser.add_argument(
        "--insecure-no-auth", action="store_true", help="serve whoever reaches the API's port, without authentication"
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    commands.add_parser("serve", parents=[config], help="serve until told to stop (the default)")
    prestop = commands.add_parser("prestop", parents=[config], help="hand over before the node is stopped")
    prestop.add_argument("--seconds", type=float, default=PRESTOP_SECONDS, help="wait so long at most")
    ask = commands.add_parser("ask", parents=[config], help="one request to the node's admin port")
    ask.add_argument("method", choices=["GET", "POST"])
    ask.add_argument("path", help="as /status; a body is read from standard input for POST")
    return parser


if __name__ == "__main__":
    sys.exit(main())

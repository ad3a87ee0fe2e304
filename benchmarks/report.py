"""docs/benchmarks.md from the results of the last runs. Pure."""

from typing import Any

MUST = {
    ("etcd", "put"): 1.0,
    ("etcd", "get"): 1.0,
    ("dynalite", "put"): 0.5,
    ("dynalite", "get"): 0.5,
    ("dynamodb-local", "put"): 5.0,
    ("dynamodb-local", "get"): 0.7,
}


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; raw figures in `benchmarks/results.json`. Servers and load generator (wrk) share the",
        "cores of one machine. 1 KiB items, unique keys for puts, 10,000 preloaded keys for consistent gets. Keystead and",
        "etcd run three replicas with fdatasync on; clients of Keystead spread over its nodes, clients of etcd talk to",
        "its leader. Rounds run in turn; a ratio is the median over the pairs. These machines are noisy: quote ratios.",
        "",
    ]
    for name in ("etcd", "dynalite", "dynamodb-local"):
        if name in results:
            lines += _throughput(name, results[name])
    if "outages" in results:
        lines += _outages(results["outages"])
    if "footprint" in results:
        lines += _footprint(results["footprint"])
    return "\n".join(lines) + "\n"


def _about(result: dict[str, Any]) -> str:
    m = result["machine"]
    quick = " Short rounds: not to be quoted." if result["quick"] else ""
    return (
        f"Measured {m['date']} on {m['cores']} cores ({m['cpu']}), {m['memory_gib']} GiB, Python {m['python']}, "
        f"load before the run {m['load_before']}.{quick}"
    )


def _throughput(name: str, result: dict[str, Any]) -> list[str]:
    lines = [
        f"## Against {name}",
        "",
        "| case | connections | Keystead /s (p50) | rival /s (p50) | ratio | must | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["found"]:
        rounds = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        lines.append(
            f"| {row['case']} | {row['connections']} | {row['ours']:,.0f} ({row['ours_p50_ms']:.1f} ms) "
            f"| {row['theirs']:,.0f} ({row['theirs_p50_ms']:.1f} ms) | **{row['ratio']:.2f}** "
            f"| {MUST[name, row['case']]} | {rounds} |"
        )
    return [*lines, "", _about(result), ""]


def _outages(result: dict[str, Any]) -> list[str]:
    lines = [
        "## Time without writes",
        "",
        "Longest time between two acknowledged writes of eight writers on one partition, lease 1 s.",
        "",
        "| event | rounds | mean | largest | must |",
        "|---|---|---|---|---|",
    ]
    for row, must in zip(result["found"], ("1,500 ms", "200 ms"), strict=True):
        figures = row["rounds_ms"]
        mean = sum(figures) / len(figures)
        lines.append(f"| {row['event']} | {len(figures)} | {mean:.0f} ms | **{max(figures):.0f} ms** | {must} |")
    return [*lines, "", _about(result), ""]


def _footprint(result: dict[str, Any]) -> list[str]:
    idle, restart = result["found"]
    return [
        "## A thousand partitions",
        "",
        "| what | measured | must |",
        "|---|---|---|",
        f"| idle: CPU of the busiest node | **{idle['cpu_percent']:.1f}%** of a core | 10% |",
        f"| idle: resident memory of the largest node | **{idle['memory_mb']:.0f} MB** | 600 MB |",
        f"| idle: messages a second between two nodes | **{idle['messages']:.1f}** | 20 |",
        f"| restart with {restart['data_mb']:.0f} MB: until the API answers | **{restart['first_answer_seconds']:.1f} s** "
        "| |",
        f"| restart: until every replica is level again | **{restart['level_seconds']:.1f} s** | 30 s |",
        "",
        _about(result),
        "",
    ]

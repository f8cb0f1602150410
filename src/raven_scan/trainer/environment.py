"""What this process computes with, for the record of a run: code, libraries, machine."""

import hashlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import raven_scan

_PACKAGE = Path(raven_scan.__file__).parent
_GIT_TIMEOUT_S = 10.0
_LIBRARIES = (
    "torch",
    "torchvision",
    "onedl-mmdetection",
    "onedl-mmengine",
    "onedl-mmcv",
    "timm",
    "numpy",
    "opencv-python-headless",
    "pillow",
)
"""Those whose numbers end up in a model: how images are read and scaled, and what is computed of them."""


def list_versions() -> dict[str, str]:
    """Versions of the libraries, by their packages' names."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # another distribution provides it
    return found


def describe_environment(device: str, *, device_count: int, threads: int) -> dict[str, str]:
    """All but the libraries' versions.

    Args:
        device: that this process computes on, `cpu` or `cuda:N`.
        device_count: of all processes of the run.
        threads: compute threads of a process on the CPU.
    """
    commit = find_commit(_PACKAGE)
    return {
        "raven-scan": raven_scan.__version__,
        **({"git-commit": commit} if commit else {}),
        "python": platform.python_version(),
        "operating-system": platform.platform(),
        "processor": find_processor(),
        "threads": str(threads),
        **_describe_devices(device, device_count),
    }


def find_commit(package: Path) -> str | None:
    """The commit of the checkout that the code is run from; None where it is installed.

    Code that was changed since has `+` and a digest of all of it behind the commit: two that were changed in different
    ways are not taken for the same.
    """
    tracked = _ask_git(package, "ls-files", "--error-unmatch", "__init__.py")
    commit = None if tracked is None else _ask_git(package, "rev-parse", "HEAD")
    if not commit:
        return None
    changes = _ask_git(package, "status", "--porcelain", "--", ".")
    return commit if changes == "" else f"{commit}+{_digest_code(package)}"


def _ask_git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails, or is not installed."""
    git = shutil.which("git")
    if git is None:
        return None
    # Git would refresh its index, and so compete with whoever works in the checkout.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        ended = subprocess.run(
            [git, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _digest_code(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def find_processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _describe_devices(device: str, count: int) -> dict[str, str]:
    if device == "cpu":
        return {"device": "cpu" if count == 1 else f"{count} x cpu"}
    import torch  # noqa: PLC0415 - devices are hidden before it is imported

    name = torch.cuda.get_device_name(0)
    cudnn = torch.backends.cudnn.version()
    return {
        "device": name if count == 1 else f"{count} x {name}",
        "cuda": str(torch.version.cuda),
        **({"cudnn": str(cudnn)} if cudnn else {}),
    }

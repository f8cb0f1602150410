"""Modules that the frameworks import at once and a trainer seldom needs: they are imported when they are first used.

torchvision imports torch's compiler for a fallback of RoIAlign, MMEngine training in shards, and MMDetection Matplotlib
and parts of SciPy for pictures of tracks, for lanes, for other metrics and for the matching of DETR's family. Together
they are half of what a trainer imports before its first step. Nothing is left out: who uses one of them gets it then.
"""

import gc
import importlib
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Package that is imported as a whole: its modules that are deferred, with the functions that are taken out of them
# while others are imported.
_DEFERRED: dict[str, dict[str, tuple[str, ...]]] = {
    "torch._dynamo": {"torch._dynamo": (), "torch._dynamo.utils": ("is_compile_supported",)},
    "matplotlib": {"matplotlib": (), "matplotlib.colors": (), "matplotlib.pyplot": ()},
    "mmdet.utils.mot_error_visualize": {"mmdet.utils.mot_error_visualize": ("imshow_mot_errors",)},
    # Training in shards, whose parts register themselves when they are imported: no run names them.
    **{
        module: {module: (name,)}
        for module, name in (
            ("mmengine._strategy.fsdp", "FSDPStrategy"),
            ("mmengine.model.wrappers.fully_sharded_distributed", "MMFullyShardedDataParallel"),
            ("mmengine.optim.optimizer.zero_optimizer", "ZeroRedundancyOptimizer"),
        )
    },
    "scipy.interpolate": {"scipy.interpolate": ("InterpolatedUnivariateSpline", "splev", "splprep")},
    "scipy.optimize": {"scipy.optimize": ("linear_sum_assignment",)},
    "scipy.sparse.csgraph": {"scipy.sparse.csgraph": ("maximum_bipartite_matching",)},
}


def defer_imports() -> None:
    """To be called before the frameworks are imported; what is imported already stays as it is."""
    for package, modules in _DEFERRED.items():
        if package in sys.modules:
            continue
        for name, functions in modules.items():
            module = sys.modules[name] = _DeferredModule(name, package)
            for function in functions:
                setattr(module, function, _defer_call(module, function))
            parent, _, child = name.rpartition(".")
            if parent in modules:
                setattr(sys.modules[parent], child, module)
    compiler = sys.modules["torch._dynamo"]
    if isinstance(compiler, _DeferredModule):
        # Optimisers ask these two of it at each step, for the compiler's sake alone: nothing is compiled here.
        vars(compiler).update(disable=_leave_as_is, graph_break=_break_nothing)
    if not any(isinstance(finder, _SubmoduleFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SubmoduleFinder())


@contextmanager
def importing() -> Generator[None]:
    """While frameworks are imported nothing becomes garbage: looking for it would take a sixth of the time.

    Nor does what they made ever: it is not looked through again, and processes that are forked go on sharing it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _DeferredModule(ModuleType):
    """Stands in `sys.modules` until it is asked for something; then the real module takes its place."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(name, "Imported at its first use.")
        self.__spec__ = ModuleSpec(name, loader=None, is_package=True)
        self.__path__ = []
        self._package = package

    def __getattr__(self, name: str) -> Any:
        # Whoever looks through all modules (`inspect` does) uses none.
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load(self) -> ModuleType:
        _load_package(self._package)
        return importlib.import_module(self.__name__)


def _load_package(package: str) -> None:
    for name in _DEFERRED[package]:
        if isinstance(sys.modules.get(name), _DeferredModule):
            del sys.modules[name]
    importlib.import_module(package)


class _SubmoduleFinder(MetaPathFinder):
    """Imports a deferred package before any of its modules that is not deferred."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(parent, _DeferredModule):
            return None
        parent.load()
        module = importlib.import_module(fullname)
        # The import system would take the module's own spec rather than this one, and execute the module again.
        spec = module.__spec__ = ModuleSpec(fullname, _Loaded(module))
        return spec


class _Loaded(Loader):
    """Of a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        del spec
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _defer_call(module: _DeferredModule, function: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(module.load(), function)(*args, **kwargs)

    return call


def _leave_as_is(function: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> Any:
    del args, kwargs
    return _leave_as_is if function is None else function


def _break_nothing(*args: Any, **kwargs: Any) -> None:
    del args, kwargs

"""Parts of the optimisation that MMEngine does not have. Importing this package registers them."""

from raven_scan.trainer.optimisation.autocast import RavenAutocastOptimWrapper
from raven_scan.trainer.optimisation.merged_groups import RavenOptimWrapperConstructor
from raven_scan.trainer.optimisation.step_randomness import RavenStepRandomnessHook

__all__ = ["RavenAutocastOptimWrapper", "RavenOptimWrapperConstructor", "RavenStepRandomnessHook"]

from typing import NoReturn


class OperatorNotCoveredError(NotImplementedError):
    """An operator of MMCV was called that neither a compiled MMCV nor Raven Scan provides here."""

    def __init__(self, operator: str) -> None:
        super().__init__(
            f"MMCV's operator '{operator}' is not available: MMCV is installed here without its compiled "
            "operators, and Raven Scan provides only those that its own architectures use. "
            "Choose an architecture or a configuration without it, or build onedl-mmcv with its operators "
            "(MMCV_WITH_OPS=1), which then takes precedence."
        )
        self.operator = operator


class UncoveredOperator:
    """Stands where an operator would be, so that `mmcv.ops` imports; raises when it is called."""

    def __init__(self, operator: str) -> None:
        self.operator = operator

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        del args, kwargs
        raise OperatorNotCoveredError(self.operator)

    def __repr__(self) -> str:
        return f"UncoveredOperator({self.operator!r})"

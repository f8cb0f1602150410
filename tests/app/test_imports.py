"""What a short command does not need is not imported for it: that was a third of its time."""

import json
import subprocess
import sys

_LATE = ["alembic", "cv2", "imagecodecs", "numpy", "obstore", "PIL", "polars", "tifffile"]

_LISTED = f"""
import json, sys
import raven_scan.app.cli.program, raven_scan.app.server, raven_scan.client
print(json.dumps([name for name in {_LATE} if name in sys.modules]))
"""


def test_a_listing_imports_no_reader_of_images_tables_or_buckets_and_no_migrations():
    answer = subprocess.run(
        [sys.executable, "-c", _LISTED], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(answer) == []

"""Imports datasets into a home of the platform and lays their parts out, for `training.py`: FOLDER NAME=SOURCE ..."""

import sys
from pathlib import Path

from overhead import work_in_background
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.cli.session import open_platform
from raven_scan.datasets.sample_scenes import make_sample_dataset


def main() -> None:
    folder = Path(sys.argv[1])
    with open_platform() as (platform, raven), work_in_background(platform):
        for argument in sys.argv[2:]:
            name, _, source = argument.partition("=")
            if name == "scenes" and not Path(source).exists():
                make_sample_dataset(Path(source))
            raven.datasets.import_path(Path(source), name=name)
            version = platform.datasets.get_version(LOCAL_ADMINISTRATOR, name).id
            (folder / "parts").mkdir(exist_ok=True)
            platform.datasets.lay_out(LOCAL_ADMINISTRATOR, version, folder / "parts" / name)


if __name__ == "__main__":
    main()

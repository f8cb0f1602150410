"""The synchronous client is the asynchronous one without the waiting."""

import importlib.util
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_synchronous_client_is_made_from_the_asynchronous_one(tmp_path: Path) -> None:
    path = REPOSITORY / "scripts" / "make_synchronous_client.py"
    spec = importlib.util.spec_from_file_location("make_synchronous_client", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_synchronous_client(tmp_path)
    made = {file.name: file.read_text() for file in tmp_path.glob("*.py")}
    kept = {file.name: file.read_text() for file in script.TARGET.glob("*.py")}
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == [], (
        "run .venv/bin/python scripts/make_synchronous_client.py"
    )

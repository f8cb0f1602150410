"""Packages as attackers make them: of an honest one's files, changed, and signed by whom one likes."""

import base64
import json
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from raven_scan.packages.signing import KeyPair, make_fingerprint, sign, write_public_key

MANIFEST, SIGNATURE = "manifest.json", "signature.json"

Change = Callable[[dict[str, Any]], None]


def read_package(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sign_files(
    files: Mapping[str, bytes], key: KeyPair, *, change_manifest: Change = lambda _: None
) -> dict[str, bytes]:
    """The same files, each with its true digest in a manifest that is signed with `key`."""
    manifest = json.loads(files[MANIFEST])
    others = {name: content for name, content in files.items() if name not in (MANIFEST, SIGNATURE)}
    manifest["files"] = [
        {"name": name, "sha256": sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in others.items()
    ]
    change_manifest(manifest)
    told = json.dumps(manifest).encode()
    return {MANIFEST: told, SIGNATURE: make_signature(told, key), **others}


def make_signature(content: bytes, key: KeyPair, *, public_key: bytes | None = None) -> bytes:
    public_key = public_key or key.public_key
    return json.dumps(
        {
            "algorithm": "ed25519",
            "fingerprint": make_fingerprint(public_key),
            "public_key": write_public_key(public_key, "somebody"),
            "signature": base64.b64encode(sign(key.private_key, content)).decode(),
        }
    ).encode()


def write_zip(path: Path, files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path

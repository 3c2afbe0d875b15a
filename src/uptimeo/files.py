"""How is a small file of our own replaced? Anyone who keeps state on disk may call it."""

import os
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner reads, so that a crash leaves the old or the new one.

    Raises OSError as the disk does. Blocks for an fsync.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

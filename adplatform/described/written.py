"""Generated files in a directory that may be somebody's: what others wrote is never replaced."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from adplatform.failures import PermanentFailure


def write_files(directory: Path, command: str, files: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Have the files in ``directory``, which is made if it is not there; those that ``command`` wrote before are
    replaced. Yields each path and what became of it: also those that the command wrote before and writes no more, which
    are left. Nothing is written where something is in the way.

    Raises:
        PermanentFailure: a file is there that the command did not write, or no directory can be made.
    """
    mark = f"Written by `{command}`"
    bodies = {directory / name: _headed(name, mark, body) for name, body in files.items()}
    if blocked := next((p for p in (directory, *directory.parents) if p.exists() and not p.is_dir()), None):
        raise PermanentFailure(f"{blocked} is a file: name a directory, or one that is not there yet")
    for path in bodies:
        if path.exists() and not _is_ours(path, mark):
            raise PermanentFailure(
                f"{path} is there, and `{command}` did not write it: name another directory, or move it away"
            )
    before = [path for path in sorted(directory.rglob("*")) if path not in bodies and _is_ours(path, mark)]
    for path, body in bodies.items():
        there = path.read_text(encoding="utf-8") if path.exists() else None
        if there != body:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        yield path, "as it was" if there == body else "written" if there is None else "written anew"
    for path in before:
        yield path, "left from an earlier export, and no part of this one: delete it"


def _headed(name: str, mark: str, body: str) -> str:
    comment = "--" if name.endswith(".sql") else "#"
    return f"{comment} {mark}: export it again rather than change it.\n{body}"


def _is_ours(path: Path, mark: str) -> bool:
    if not path.is_file() or path.suffix not in (".sql", ".yml", ".yaml"):
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return mark in file.readline()

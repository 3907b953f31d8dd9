"""The experiments of the papers, and some of our own: python -m studies.NAME --data_dir=DIR --out=DIR"""

from pathlib import Path


def names() -> list[str]:
    """All studies: modules of this package that have a STUDY."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return [path.stem for path in modules if "\nSTUDY = " in path.read_text(encoding="utf-8")]

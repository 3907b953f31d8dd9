"""The experiments of the papers, and some of ml_lstm's own: python -m studies.NAME --data_dir=DIR --out=DIR"""

from pathlib import Path


def names() -> list[str]:
    """All studies: the modules of this package that define a STUDY."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return [path.stem for path in modules if "\nSTUDY = " in path.read_text(encoding="utf-8")]

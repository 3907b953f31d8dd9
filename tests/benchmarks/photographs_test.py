"""The benchmark of starts with photographs runs, and the second finds what the first kept."""

from benchmarks import photographs
from ml_lstm.data.sources import folder


def test_measures_both_starts(tmp_path, monkeypatch):
    root = tmp_path / "photographs"
    photographs.write_photographs(root, count=21, width=200, height=100)
    assert len(list(root.glob("class_*/*.jpg"))) == 21
    first = photographs.measure(str(root), str(tmp_path / "cache"), image_size=16)
    monkeypatch.setattr(folder, "_read", None)
    second = photographs.measure(str(root), str(tmp_path / "cache"), image_size=16)
    assert first.keys() == second.keys() == {"seconds", "resident_bytes_before", "peak_resident_bytes"}
    assert min(first["seconds"], second["seconds"]) > 0

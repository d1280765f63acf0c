"""Layers on disk."""

from __future__ import annotations

from pathlib import Path

from goldbake.local.layers import Layers


def test_layer_exists_once_it_is_kept(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "layers")
    made = tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("x")
    before = layers.has("abc")
    layers.keep("abc", made, 12.3456)
    assert before is False
    assert layers.has("abc")
    assert (layers.root("abc") / "file").read_text() == "x"
    assert layers.seconds("abc") == 12.346
    assert not made.exists()


def test_layer_that_was_not_finished_does_not_exist_and_is_replaced(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "layers")
    (tmp_path / "layers" / "abc" / "root").mkdir(parents=True)
    (tmp_path / "layers" / "abc" / "root" / "half").write_text("x")
    before = layers.has("abc")
    made = tmp_path / "made"
    made.mkdir()
    layers.keep("abc", made, 1)
    assert before is False
    assert list(layers.root("abc").iterdir()) == []

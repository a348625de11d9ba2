"""The picture of the client's supervision tree is what the code builds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.support import ROOT

PICTURE = ROOT / "docs" / "client-tree.svg"


def test_the_picture_is_the_tree_of_a_running_client(tmp_path: Path) -> None:
    drawn = tmp_path / "client-tree.svg"
    command = [sys.executable, "-m", "docs.draw_client_tree", str(drawn)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert drawn.read_text() == PICTURE.read_text(), "the client's tree has changed: run python -m docs.draw_client_tree"


def test_the_picture_names_every_part() -> None:
    words = {element.text for element in ElementTree.parse(PICTURE).iter() if element.tag.endswith("text")}
    assert words >= {
        "supervisor, one_for_one",
        "supervisor, rest_for_one",
        "ConnectionActor",
        "MetadataActor",
        "ProducerActor",
        "BatcherActor",
    }

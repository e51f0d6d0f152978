"""Runs the notebooks of the documentation and keeps what they put out: ``python scripts/run_notebook.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"


def executed(path: Path, folder: Path | str) -> nbformat.NotebookNode:
    """Return a notebook with new outputs, having run it in a folder; what a cell raises is raised."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=300, record_timing=False, resources=resources)
    client.execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for also in ("text/html", "image/jpeg"):  # what is there as text and as PNG
                output.get("data", {}).pop(also, None)
    return notebook


def main() -> None:
    """Run every notebook, or those that are named."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, folder), path)


if __name__ == "__main__":
    main()

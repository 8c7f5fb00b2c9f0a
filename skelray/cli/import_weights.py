"""`skelray import-weights`: the encoder of a released checkpoint, for studies that evaluate it."""

from __future__ import annotations

from pathlib import Path

import click

from skelray.names import BACKBONES, METHODS, STREAMS


@click.command("import-weights")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--method", type=click.Choice(METHODS), required=True, help="Whose released code wrote it.")
@click.option("--backbone", type=click.Choice(BACKBONES), help="It is recognised; another one than this is refused.")
@click.option("--stream", type=click.Choice(STREAMS), help="It was trained on; joint by default, not for CrosSCLR.")
@click.option("--store", default="store", show_default=True, help="A folder or URI.")
def import_weights_command(file: Path, method: str, backbone: str | None, stream: str | None, store: str) -> None:
    """Put the encoder of a released checkpoint FILE (.pt, .pth.tar) into a store, and print the study that evaluates it.

    Tensors and plain containers are read and nothing else: no code in the file is run.
    """
    from skelray.released.checkpoint import read_checkpoint
    from skelray.store.imported import keep_imported
    from skelray.store.store import Store

    imported = read_checkpoint(file, method, backbone, stream)
    keep_imported(imported, Store(store))
    click.echo(
        f"{imported}\nkept as {imported.digest} in {store}; a study that evaluates it:\n\n{imported.study_text()}", nl=False
    )

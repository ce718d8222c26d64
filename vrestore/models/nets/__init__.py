"""The networks: plain torch modules that know tensors and nothing else of vrestore."""

from collections.abc import Mapping

from vrestore.models.nets.cell import Cell

ARCHITECTURES: Mapping[str, type[Cell]] = {"cell": Cell}
"""Architecture names of models.toml.  A new one is one file here and one line in this table."""

__all__ = ["ARCHITECTURES", "Cell"]

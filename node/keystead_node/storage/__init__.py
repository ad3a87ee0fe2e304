"""What a node keeps on its volume (docs/storage-format.md)."""

"""The bus: a ring that wakes readers. One contract (`base`), one module per carrier."""

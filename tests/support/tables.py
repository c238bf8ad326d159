"""Access tables of the tests: fingerprints of keys, and how a file is replaced."""

A, B, C = (":".join([pair] * 32) for pair in ("0A", "B0", "CC"))


def replace(path, text: str | bytes) -> None:
    """Put a new file there at once."""
    new = path.with_suffix(".new")
    new.write_bytes(text if isinstance(text, bytes) else text.encode())
    new.replace(path)

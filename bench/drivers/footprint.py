"""How much memory this process occupies, by what the system counts and by what malloc gave out."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_LIBC = ctypes.CDLL(None)


def footprint() -> dict[str, int]:
    """Return what is in use, in octets, after returning to the system what is not.

    Returns:
        ``private``: pages that only this process has, as the kernel counts them (smaps_rollup);
        what fragmentation keeps is in it.  ``heap``: what malloc has given out; of Python's own
        objects only the arenas.
    """
    gc.collect()
    _LIBC.malloc_trim(0)
    fields = {}
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()[1:]:
        name, size, _unit = line.split()
        fields[name] = int(size) * 1024
    info = _mallinfo2()
    private = fields["Private_Clean:"] + fields["Private_Dirty:"]
    return {"private": private, "heap": info.uordblks + info.hblkhd}


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    )  # fmt: skip


_mallinfo2 = _LIBC.mallinfo2
_mallinfo2.restype = _Mallinfo2

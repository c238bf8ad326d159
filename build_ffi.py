"""Describe the extension module ``ccert._ffi`` to cffi.

``csrc/ccert.h`` is the whole boundary: the cdef is made from it.  ``CCERT_SANITIZE=1`` builds with
AddressSanitizer and UndefinedBehaviorSanitizer, ``CCERT_WERROR=1`` makes warnings errors.
"""

import os
import re
from pathlib import Path

from cffi import FFI, PkgConfigError

ROOT = Path(__file__).resolve().parent
WARNINGS = ["-Wall", "-Wextra", "-Wshadow"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g"]


def cdef(header: str) -> str:
    """Strip what cffi's parser does not read: comments and preprocessor lines."""
    without_comments = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    return re.sub(r"(?m)^#.*$", "", without_comments)


sanitize = SANITIZE if os.environ.get("CCERT_SANITIZE") == "1" else []
werror = ["-Werror"] if os.environ.get("CCERT_WERROR") == "1" else []
arguments = {
    # relative: setuptools wants it so
    "sources": sorted(f"csrc/{path.name}" for path in (ROOT / "csrc").glob("*.c")),
    "depends": ["csrc/ccert.h", "csrc/internal.h"],
    "include_dirs": ["csrc"],
    "extra_compile_args": ["-std=c11", "-O2", "-fvisibility=hidden", *WARNINGS, *werror, *sanitize],
    "extra_link_args": sanitize,
}

ffibuilder = FFI()
ffibuilder.cdef(cdef((ROOT / "csrc" / "ccert.h").read_text(encoding="utf-8")))
try:
    ffibuilder.set_source_pkgconfig(
        "ccert._ffi",
        ["libssl >= 3.0", "libcrypto >= 3.0"],
        '#include "ccert.h"',
        **arguments,
    )
except PkgConfigError:  # pkg-config or its .pc files are missing: let the compiler look
    ffibuilder.set_source(
        "ccert._ffi", '#include "ccert.h"', libraries=["ssl", "crypto"], **arguments
    )

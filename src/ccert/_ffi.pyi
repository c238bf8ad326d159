# What build_ffi.py compiles.  cffi's objects have no static types.
from typing import Any

ffi: Any
lib: Any

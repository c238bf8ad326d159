"""Show what a wheel of ccert needs from the system, and fail if it is not what was promised.

One extension for the stable ABI, linked with the system's OpenSSL 3.0 or later and with a glibc
that is not newer than the wheel's name says.  Nothing of OpenSSL is inside, no debug sections are.
"""

import collections
import re
import sys
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

PLATFORM = r"ccert-[\d.]+-cp310-abi3-manylinux_2_(\d+)_x86_64\.whl"
NEEDED = {"libssl.so.3", "libcrypto.so.3", "libc.so.6", "ld-linux-x86-64.so.2"}
LIMIT = 150_000  # octets, of the extension

path = Path(sys.argv[1])
name = re.fullmatch(PLATFORM, path.name)
assert name, f"{path.name}: not a manylinux wheel for the stable ABI"
with zipfile.ZipFile(path) as wheel:
    binaries = [entry for entry in wheel.namelist() if re.search(r"\.so|\.libs/", entry)]
    assert binaries == ["ccert/_ffi.abi3.so"], binaries
    size = wheel.getinfo(binaries[0]).file_size
    elf = ELFFile(wheel.open(binaries[0]))
    tags = list(elf.get_section_by_name(".dynamic").iter_tags())
    needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
    versions = collections.defaultdict(set)
    for library, required in elf.get_section_by_name(".gnu.version_r").iter_versions():
        versions[library.name] |= {version.name for version in required}

print(f"{path.name}: {path.stat().st_size} octets, {size} of them the extension, unpacked")
for library in needed:
    print(f"  {library}: {', '.join(sorted(versions[library])) or 'no versions'}")

assert set(needed) <= NEEDED, needed
assert not [tag for tag in tags if tag.entry.d_tag in {"DT_RPATH", "DT_RUNPATH"}]
for library in ("libssl.so.3", "libcrypto.so.3"):
    assert library in needed
    for version in versions[library]:
        assert re.fullmatch(r"OPENSSL_3\.0\.\d+", version), version
for version in versions["libc.so.6"]:
    assert int(re.fullmatch(r"GLIBC_2\.(\d+)[.\d]*", version)[1]) <= int(name[1]), version
assert not [s.name for s in elf.iter_sections() if s.name.startswith(".debug")]
assert size < LIMIT

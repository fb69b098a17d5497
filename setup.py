"""Finds the packages, and compiles the inspection engine's hot modules with mypyc.

They stay as they are in an editable install (scripts/compile builds them for it, until a source changes), with
SHUTDOWNLAB_PURE=1, and, with a warning, where there is no C compiler.
"""

import os
import shutil
import sys
import sysconfig
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

DATA = {f"shutdownlab.{folder}": folder for folder in ("topologies", "controllers", "scenarios")}
"""What a user copies lies at the top, and ships inside the package."""

FOLDER = "shutdownlab/inspection/"
LIBRARY = "shutdownlab.inspection.engine"
"""mypyc adds `__mypyc`: the shared library that all compiled modules are in."""
LEVEL = os.environ.get("MYPYC_OPT_LEVEL", "3")
"""gcc's, 0 to 3; a lower one is built sooner, for tests that measure nothing."""

# fmt: off
MODULES = [
    "words", "packet", "checksum", "stream", "flow", "fragments", "residual", "token_bucket", "validation", "table",
    "first_packets", "lots", "tcp_tracker", "matching", "rules", "forge", "actions/action", "actions/passing",
    "actions/drop", "actions/reset", "actions/page", "actions/dns_answer", "actions/throttle", "actions/freeze",
    "actions/intercept", "decision", "enforcement", "classification", "engine", "capture", "links", "offline",
    "lookup", "catalogue", "recognition", "recognisers/recogniser", "recognisers/result", "recognisers/names",
    "recognisers/certificate", "recognisers/tls", "recognisers/tls_records", "recognisers/doh", "recognisers/tor",
    "recognisers/http", "recognisers/ssh", "recognisers/dns", "recognisers/bittorrent", "recognisers/sip",
    "recognisers/whatsapp", "recognisers/openvpn", "recognisers/stun", "recognisers/mtproto", "recognisers/encrypted",
    "recognisers/rtp", "recognisers/wireguard", "recognisers/dtls", "recognisers/starttls", "recognisers/tunnel",
    "recognisers/proxies", "recognisers/relay", "recognisers/turn", "recognisers/quic", "recognisers/quic_protection",
    "tunnels", "punycode",
]
# fmt: on


def extensions() -> list[Extension]:
    building = not {"bdist_wheel", "build", "build_ext"}.isdisjoint(sys.argv)
    wanted = building and os.environ.get("SHUTDOWNLAB_PURE", "0") != "1"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not wanted:
        return []
    if shutil.which(compiler) is None:
        text = f"no C compiler ({compiler}): the inspection engine stays uncompiled, at a sixth of the speed"
        warnings.warn(text, stacklevel=1)
        return []
    from mypyc.build import mypycify

    files = [f"{FOLDER}{module}.py" for module in MODULES]
    try:
        compiled: list[Extension] = mypycify(
            ["--no-warn-unused-configs", *files],
            opt_level=LEVEL,
            debug_level="0",
            group_name=LIBRARY,
            multi_file=True,
        )
    except SystemExit:  # mypy has told why on standard error
        warnings.warn("mypyc refused: the inspection engine stays uncompiled, at a sixth of the speed", stacklevel=1)
        return []
    for extension in compiled:
        extension.include_dirs.append(f"build/{FOLDER}")  # where mypyc writes the library's headers
        extension.optional = True  # no Python headers: all of them are left out, and the files run as they are
    return compiled


class FilesSideBySide(build_ext):
    """Compiles the C files of one extension module side by side; setuptools does so with whole modules alone."""

    def build_extensions(self) -> None:
        compile_files = self.compiler.compile

        def side_by_side(sources: Sequence[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = pool.map(partial(compile_files, **options), ([source] for source in sources))
                return [compiled for objects in made for compiled in objects]

        self.compiler.compile = side_by_side
        super().build_extensions()


setup(
    packages=[*find_packages(include=["shutdownlab*"]), *DATA],
    package_dir=DATA,
    ext_modules=extensions(),
    cmdclass={"build_ext": FilesSideBySide},
)

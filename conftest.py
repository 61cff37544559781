"""Examples in docstrings are tests too (`--doctest-modules`), and their modules need BasicSR importable."""

import dukd_basicsr.plugin  # noqa: F401

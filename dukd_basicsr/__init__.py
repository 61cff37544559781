"""Data Upcycling Knowledge Distillation (DUKD / AugKD, ICLR 2025) as a plugin for BasicSR.

Importing this package is light: no torch. `import dukd_basicsr.plugin` makes BasicSR importable and registers
the models; the `basicsr` command does it for you.
"""

__version__ = '0.1.0'

"""Baselines for ``afresh evaluate``, one file each; for example ``--baselines popularity,isgd``."""

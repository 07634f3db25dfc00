"""Other recommenders, one a file, in the loop of ``afresh evaluate``: ``--baselines popularity,isgd``."""

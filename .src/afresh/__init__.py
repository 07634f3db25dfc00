"""A streaming recommender that learns while it serves.

The four packages are links to the folders ``models``, ``state``, ``streams`` and ``deploy`` of the repository.
Installed by themselves, packages of such names would collide with those of half of all projects.
"""

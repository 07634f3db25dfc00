"""Data sets to try a deployment on, and to judge its lists on."""

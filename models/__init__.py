"""The maths: arrays in, arrays out. Imports nothing of the other packages."""

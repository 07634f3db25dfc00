"""The maths: arrays in, arrays out. It imports nothing from the other packages."""

"""How lists were received, and what the guard makes of it."""

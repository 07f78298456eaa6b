"""Pure functions of arrays, on jax alone."""

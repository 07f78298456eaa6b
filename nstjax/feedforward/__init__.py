"""Networks that stylize a picture in one pass."""

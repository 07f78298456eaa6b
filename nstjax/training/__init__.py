"""Training networks: the loop, data, the recipes of `mini` and of decoders."""

"""nstjax: compare the losses of neural style transfer, in JAX."""

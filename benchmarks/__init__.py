"""Benchmarks of steps, losses, sweeps and universal style transfer, some beside PyTorch."""

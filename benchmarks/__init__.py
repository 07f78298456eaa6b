"""What things cost, beside PyTorch."""

"""What makes the files that ship."""

"""Programs that make files of the package."""

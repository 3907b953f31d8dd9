"""What several methods share: base classes of families, and their parts."""

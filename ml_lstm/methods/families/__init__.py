"""What several methods share: families of them, and the parts that those are made of."""

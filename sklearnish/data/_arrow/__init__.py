"""What the formats that speak Arrow have in common."""

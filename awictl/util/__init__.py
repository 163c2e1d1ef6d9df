"""Small general helpers that do not depend on the rest of the package, except its errors."""

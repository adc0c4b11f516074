"""What people and programs do with identity, each change one transaction with its audit."""

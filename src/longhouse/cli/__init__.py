"""What people type: the `longhouse` command."""

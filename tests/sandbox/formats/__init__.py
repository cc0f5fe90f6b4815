"""Languages and document formats the vendors speak, free of HTTP and of state."""

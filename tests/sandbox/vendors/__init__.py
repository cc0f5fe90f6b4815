"""The simulated vendors, one module each; see README.md for what a module has to export."""

"""What every simulated vendor shares: HTTP, journal, faults, state, control port."""

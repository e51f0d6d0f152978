"""Events, the callback interface, and the bus that delivers events to callbacks."""

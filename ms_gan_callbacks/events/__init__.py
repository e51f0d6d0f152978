"""The events of a run, the callbacks they call, and the bus between them."""

"""What the speed claims stand on; nothing that ships imports it."""

"""Games: what players make and minimise, and the compiled step that trains any number of players."""

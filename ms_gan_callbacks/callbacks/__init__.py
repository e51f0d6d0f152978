"""The callbacks that come with the library, one file each."""

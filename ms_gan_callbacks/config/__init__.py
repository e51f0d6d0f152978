"""Configuration of a run: recipes, their parameters, components and plugins."""

"""What a run is asked for: recipes, their parameters, components and plugins."""

"""The machinery of settings, and the experiment that the rooms' settings make up."""

"""The screens: everything Textual, and nothing else."""

"""The data-plane process: the shell that feeds the core events and carries out its effects."""

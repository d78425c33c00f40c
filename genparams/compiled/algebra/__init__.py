"""Programs in their simplest form: each operation once."""

"""What people write: tasks, hyperparameters, variants, serving; read from TOML and checked."""

"""What people write: tasks, hyperparameters, variants, serving; read from TOML, typed and checked."""

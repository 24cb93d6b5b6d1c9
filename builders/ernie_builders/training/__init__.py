"""Fine-tuning: data set, loop, distillation loss, and one process per device."""

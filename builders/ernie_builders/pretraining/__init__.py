"""Pre-training ERNIE: text or ids -> packed stream -> sequences -> masked batches -> an encoder that builders take.

`words`, `text`, `id_format`, `packed` read; `packing` and `sentence_tasks` cut sequences out of the stream anew each
epoch; `masking` hides units of them; `trainer` learns, `state` keeps it, `card` and `log` tell what was done.
"""

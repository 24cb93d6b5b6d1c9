"""Other ways to serve the same ONNX model, side by side with this project's: `python -m ernie_perf.peers --help`.

Each is a `base.Peer`: start, answer texts, stop. All answer the same texts with the same model in one run, over HTTP
with kept connections and one text per request. A peer whose answers differ gets no figures.
"""

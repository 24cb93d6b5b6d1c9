"""Other ways to serve the same ONNX model, side by side with this project's: `python -m ernie_perf.peers --help`.

One adapter a module, each a `base.Peer`: start, one request, stop. All answer the same texts with the same model in one
run, over HTTP with kept connections and one text a request, and no figures are told of one whose answers differ.
"""

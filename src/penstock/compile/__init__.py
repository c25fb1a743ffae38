"""The compiler: turns a fitted scikit-learn-family model into an ONNX graph, and shows the two to be equal."""

"""The compiler: turns a fitted scikit-learn-family model into an ONNX graph, and proves the two equal."""

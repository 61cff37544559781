"""`basicsr export`: a network as an ONNX file of dynamic batch, height and width, checked against torch."""

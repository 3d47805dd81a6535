"""What runs a bundle's network: torch, or another runtime that takes the same network as ONNX."""

"""The live path: pipeline, engine, frame reader, frame counters, pipelined execution, overlay."""

"""Code that protoc makes of `proto/`: `python -m tests.render_protos`. Nothing here is written by hand."""

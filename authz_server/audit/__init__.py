"""Decision records after the answer has left: a bounded queue and its sinks."""

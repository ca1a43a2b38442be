"""The protocol on what people would use instead, each as its own documentation would have it."""

"""A procedural landscape seen from the air: classes overlap in colour and differ in texture, shape and context."""

"""kullback inside other libraries, when they are asked for it."""

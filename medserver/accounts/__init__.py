"""Users and tokens: managed by administrators (`managing`), and asked by who comes in (`authentication`)."""

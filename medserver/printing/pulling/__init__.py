"""Pull printing: who asks sends format information and image identifiers, and this node obtains the images."""

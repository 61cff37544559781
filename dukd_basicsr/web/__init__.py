"""`basicsr export --web`: a page that runs a network on its visitor's own pictures, in the browser."""

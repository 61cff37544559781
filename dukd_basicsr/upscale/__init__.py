"""`basicsr upscale`: anyone's image files through a network, as their owner expects them back."""

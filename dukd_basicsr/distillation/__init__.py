"""What a distilling step is made of: the frozen teacher, the views it labels, features tapped from both networks."""

"""Pages on people: signing in, one's own account, and for administrators everybody's."""

"""What the node changes on its machine: accounts, directories, access rights and processes."""

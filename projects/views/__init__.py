"""Pages on projects: lists of them, one project, its settings, and the administrators' views."""

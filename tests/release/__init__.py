"""What makes a release, and what shows that it is one: packages, bill of materials, workflows."""

"""Did a job signal in time? Type `push`."""

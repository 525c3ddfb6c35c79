"""Pictures drawn from known factors, so that whatever is done to them can be scored against the truth."""

"""The result as one page of HTML."""

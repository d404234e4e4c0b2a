"""The model side: what is asked, which weights answer, and how."""

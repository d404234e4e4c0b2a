"""What Overread keeps: studies, drafts, decisions and the exports made from them."""

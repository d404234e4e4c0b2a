"""One file a model family: its layout, tokenizer, preprocessing, prompt and limits."""

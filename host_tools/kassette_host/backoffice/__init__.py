"""The back office: verifies what terminals upload, keeps the books, issues cards, shows what does not fit."""

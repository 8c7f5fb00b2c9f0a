"""Looking at prepared data: descriptions, pictures and checks."""

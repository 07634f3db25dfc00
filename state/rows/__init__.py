"""What a row of each table is, and the function that an interaction, example or item moves it by."""
